/** Folders of src from the lowest to the highest: a layer imports from itself and from the layers before it. */
const LAYERS = [
  ['util'],
  ['numerics'],
  ['math', 'kernels', 'checkpoint', 'engine'],
  ['hub'],
  ['schemes'],
  ['models', 'data', 'servers'],
  ['modifiers'],
  ['recipe'],
  ['report'],
  ['oneshot', 'eval'],
  ['advice'],
]

/** @param {string[]} folders */
const pathOf = (folders) => `^src/(${folders.join('|')})/`

/** Neither a higher layer, nor the entry point, nor the command line. */
const downward = LAYERS.map((layer, index) => ({
  name: `downward-from-${layer.join('-')}`,
  comment: `${layer.join(', ')} may import only from: ${LAYERS.slice(0, index + 1)
    .flat()
    .join(', ')}. Types count.`,
  severity: 'error',
  from: { path: pathOf(layer) },
  to: { path: '^src/', pathNot: pathOf(LAYERS.slice(0, index + 1).flat()) },
}))

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...downward,
    {
      name: 'known-folder',
      comment: 'A new folder of src needs its place in LAYERS.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: pathOf([...LAYERS.flat(), 'cli']) },
      to: {},
    },
    {
      name: 'index-below-cli',
      comment: 'src/index.ts and src/math.ts are above all but the command line.',
      severity: 'error',
      from: { path: '^src/(index|math)\\.ts$' },
      to: { path: '^src/cli/' },
    },
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphan',
      comment: 'A module that nobody imports. The exceptions are loaded by being in their folder, or in a thread.',
      severity: 'error',
      from: {
        orphan: true,
        pathNot: [
          '^src/(index|math)\\.ts$',
          '^src/cli/main\\.ts$',
          '^src/kernels/worker\\.js$',
          '^src/checkpoint/hash-worker\\.js$',
          '\\.d\\.ts$',
        ],
      },
      to: {},
    },
    {
      name: 'tensors-where-they-belong',
      comment: 'Only these folders own tensors; the others hold typed arrays.',
      severity: 'error',
      from: { path: '^src/', pathNot: pathOf(['engine', 'models', 'modifiers', 'oneshot', 'eval']) },
      to: { path: '@tensorflow/' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency',
      comment: 'What src imports must be installed with the package.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-test-in-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|tools|examples)/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^dist/'] },
    exclude: { path: '^src/kernels/assembly/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
}
