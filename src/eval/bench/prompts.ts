/** What is asked where nothing else is said: short beginnings of different kinds. */
export const BENCH_PROMPTS: readonly string[] = [
  'The history of the printing press begins long before movable type, when scribes in workshops',
  'To measure how long a computation takes, first make sure that nothing else is running, then',
  'Dear neighbour, thank you for looking after the garden while we were away; the tomatoes have',
  'A recipe for bread needs flour, water, salt and time. Begin in the evening, when the kitchen',
  'The function takes a list of numbers and gives back their mean, unless the list is empty, in',
]
