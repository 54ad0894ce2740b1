const TEXT = { type: 'string' }
const NUMBER = { type: 'number' }
const COUNT = { type: 'integer', minimum: 0 }
const TEXTS = { type: 'array', items: TEXT, default: [] }
const COUNTS = { type: 'array', items: COUNT, maxItems: 10_000 }

function object(properties: Readonly<Record<string, unknown>>, optional: readonly string[] = []): object {
  return { type: 'object', properties, required: Object.keys(properties).filter((name) => !optional.includes(name)) }
}

function list(items: object): object {
  return { type: 'array', items }
}

const LINEAR = object(
  {
    name: TEXT,
    method: TEXT,
    scheme: TEXT,
    error: { ...NUMBER, minimum: 0 },
    errorOf: { enum: ['outputs', 'weights'] },
    seconds: NUMBER,
    heldBackError: NUMBER,
    rtnError: NUMBER,
    damping: NUMBER,
    dampingAsked: NUMBER,
    deadColumns: COUNT,
    clippedScales: COUNT,
    fallback: TEXT,
    rescaled: list(object({ by: TEXT })),
  },
  ['heldBackError', 'rtnError', 'damping', 'dampingAsked', 'deadColumns', 'clippedScales', 'fallback', 'rescaled'],
)

/** JSON schema of what a report takes from llmpress-report.json; what earlier versions did not write has defaults. */
export const RECORD_SCHEMA = object(
  {
    llmpress: TEXT,
    model: TEXT,
    output: TEXT,
    recipe: object({ name: TEXT, text: TEXT }),
    hashes: object({ model: TEXT, recipe: TEXT, data: TEXT }),
    engine: object({ name: TEXT, detail: TEXT, threads: COUNT }),
    seed: NUMBER,
    data: { ...object({ source: TEXT, rows: COUNT, tokens: COUNT, request: object({ numCalibrationSamples: COUNT }) }), nullable: true },
    linears: list(LINEAR),
    experts: list(object({ module: TEXT, tokens: list(NUMBER) })),
    remarks: TEXTS,
    warnings: TEXTS,
    size: object({ before: NUMBER, after: NUMBER }),
    kinds: list(object({ kind: TEXT, before: NUMBER, after: NUMBER })),
    seconds: object({ data: NUMBER, layers: NUMBER, total: NUMBER }),
    peakMemory: NUMBER,
    files: list(object({ name: TEXT, bytes: NUMBER, sha256: TEXT })),
  },
  ['experts', 'remarks', 'warnings', 'kinds'],
)

const WEIGHTS = object({
  name: TEXT,
  min: NUMBER,
  max: NUMBER,
  low: NUMBER,
  high: NUMBER,
  counted: COUNT,
  total: COUNT,
  before: COUNTS,
  after: COUNTS,
})

const INPUTS = object({
  tokens: COUNT,
  channels: COUNT,
  min: NUMBER,
  max: NUMBER,
  medianRms: NUMBER,
  largest: { ...list(object({ channel: COUNT, rms: NUMBER })), minItems: 1, maxItems: 100 },
})

/** JSON schema of the statistics in a report.html. */
export const STAGES_SCHEMA = list(object({ stage: TEXT, linears: list(WEIGHTS), inputs: { ...INPUTS, nullable: true } }))

/** JSON schema of the scores in a report.html. */
export const SCORES_SCHEMA = object({
  verdict: TEXT,
  original: { ...TEXT, nullable: true },
  rows: list(object({ name: TEXT, unit: { enum: ['number', 'share'] }, value: NUMBER, original: { ...NUMBER, nullable: true } })),
})

/** JSON schema of the samples in a report.html. */
export const SAMPLES_SCHEMA = list(object({ prompt: TEXT, texts: list(object({ name: TEXT, text: TEXT })) }))
