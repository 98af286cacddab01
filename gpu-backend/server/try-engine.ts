import { OPEN_LINE } from '#shared/protocol/directive.ts';
import type { Engine } from '../engine/engine.ts';
import type { EncodePrompt } from './encode-prompt.ts';

/**
 * One token, before the first client asks for one: a bundle whose numbers end in NaN is found out at start, and the first
 * request does not pay for what onnxruntime does only once.
 */
export async function tryEngine(engine: Engine, encodePrompt: EncodePrompt): Promise<void> {
  const events = engine.generate({
    promptIds: encodePrompt([{ role: 'user', content: 'a' }]),
    maxTokens: 1,
    stop: [],
    sampling: { seed: 0, temperature: 1, topP: 1 },
    line: OPEN_LINE,
  });
  for await (const event of events) {
    if (event.type === 'token' && event.lp_h === null)
      throw new Error('the helpfulness expert gave no usable prediction');
  }
}
