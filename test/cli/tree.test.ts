import { describe, expect, test } from 'vitest'
import { moduleTree } from '../../src/cli/tree.ts'
import type { InspectedModule } from '../../src/eval/inspect.ts'

function module(name: string, bytes = 8, kind = 'BF16'): InspectedModule {
  return { name, kind, shape: [2, 2], bytes, bitsPerWeight: (8 * bytes) / 4 }
}

const labels = (modules: InspectedModule[]) => moduleTree(modules).map(({ label }) => label)

describe('moduleTree()', () => {
  test('puts equal layers together and joins chains of only children', () => {
    const modules = [0, 1, 2].flatMap((i) => [module(`model.layers.${i}.mlp.up`), module(`model.layers.${i}.norm`, 4)])
    expect(labels([module('model.embed'), ...modules, module('lm_head')])).toEqual([
      'model',
      '├─ embed',
      '└─ layers.0-2  (3 x 12 B)',
      '   ├─ mlp.up',
      '   └─ norm',
      'lm_head',
    ])
  })

  test('keeps a layer apart whose content differs', () => {
    const modules = [module('l.0.up', 2, 'W4A16'), module('l.1.up'), module('l.2.up', 2, 'W4A16')]
    expect(labels(modules)).toEqual(['l', '├─ 0,2  (2 x 2 B)', '│  └─ up', '└─ 1.up'])
  })

  test('does not put siblings with names together', () => {
    expect(labels([module('a.q'), module('a.k')])).toEqual(['a', '├─ q', '└─ k'])
  })

  test('shows a module that has modules below it', () => {
    const lines = moduleTree([module('a'), module('a.b', 6)])
    expect(lines.map(({ label, module: found }) => [label, found?.bytes])).toEqual([
      ['a', 8],
      ['└─ b', 6],
    ])
  })
})
