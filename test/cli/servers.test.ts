import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findingsText } from '../../src/cli/servers.ts'

beforeEach(() => void vi.stubEnv('FORCE_COLOR', ''))
afterEach(() => void vi.unstubAllEnvs())

test('findingsText says what is refused, folds layers, and names the rule', () => {
  const source = { version: 'vLLM 0.32.0', where: 'fp8_utils.py: validate_fp8_block_shape', evidence: 'run' } as const
  const modules = [0, 1].map((layer) => `model.layers.${layer}.self_attn.q_proj`)
  expect(findingsText('vLLM 0.32.0', [{ severity: 'error', modules, message: 'blocks do not fit', source }])).toBe(
    [
      'On vLLM 0.32.0',
      '  refused blocks do not fit',
      '    model.layers.0-1.self_attn.q_proj',
      '    rule seen at work in vLLM 0.32.0, fp8_utils.py: validate_fp8_block_shape',
    ].join('\n'),
  )
  expect(findingsText('vLLM 0.32.0', [])).toContain('nothing is compressed')
})
