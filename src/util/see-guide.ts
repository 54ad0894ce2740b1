/** The parts of docs/guide.md, in its order: what `llmpress explain` knows. */
export const GUIDE_TOPICS = [
  'purpose',
  'methods',
  'precision',
  'formats',
  'memory',
  'quality',
  'speed',
  'fp8',
  'padding',
  'hub',
  'install',
  'licence',
] as const
export type GuideTopic = (typeof GUIDE_TOPICS)[number]

/** The end of a message that a part of the guide helps with: ` See 'llmpress explain memory'.` */
export function seeGuide(topic: GuideTopic): string {
  return ` See 'llmpress explain ${topic}'.`
}
