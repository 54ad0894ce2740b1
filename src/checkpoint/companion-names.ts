// What stands beside the weights and belongs to the model, not to how it was stored: tokenizer, chat template, generation defaults,
// processors, licences.
const COMPANIONS = [
  /^tokenizer.*\.(json|model)$/,
  /^(vocab|special_tokens_map|added_tokens|generation_config|preprocessor_config|processor_config|chat_template)\.json$/,
  /^(vocab|merges)\.txt$/,
  /\.(jinja|tiktoken)$/,
  /^(spiece|sentencepiece.*)\.model$/,
  /^(LICEN[CS]E|NOTICE|USE_POLICY)/i,
]

/** Whether a file beside a model's weights goes with them; the model's own code does where config.json's auto_map refers to it. */
export function isCompanion(name: string, { auto_map: code }: Readonly<Record<string, unknown>>): boolean {
  return !name.includes('/') && (COMPANIONS.some((pattern) => pattern.test(name)) || (Boolean(code) && /\.py$/.test(name)))
}
