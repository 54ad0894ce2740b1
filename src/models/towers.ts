/** Modules of a model beside its text model, by their usual names: they see, hear, or hand over what was seen. */
const TOWERS = [
  'visual',
  'vision_tower',
  'vision_model',
  'vision_encoder',
  'multi_modal_projector',
  'mm_projector',
  'audio_tower',
  'embed_vision',
  'embed_audio',
]

const WITHIN = new RegExp(`(?:^|\\.)(${TOWERS.join('|')})\\.`)

/** Whether a tensor or module is part of such a module. */
export function inTower(name: string): boolean {
  return WITHIN.test(name)
}

/** Patterns for an ignore list that match all of the towers among some tensors: a loader may call them by other full names. */
export function towerPatterns(names: Iterable<string>): string[] {
  const found = new Set([...names].flatMap((name) => WITHIN.exec(name)?.[1] ?? []))
  return [...found].map((tower) => `re:.*${tower}\\..*`)
}
