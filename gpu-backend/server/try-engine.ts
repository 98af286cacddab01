import { seedKey } from '#shared/gate/index.ts';
import { type BackendMode, OPEN_LINE } from '#shared/line/line.ts';
import type { Engine } from '../engine/engine.ts';
import type { EncodePrompt } from './encode-prompt.ts';

/**
 * Draws one token in every mode before the first client asks, from rows like a client's. So a
 * bundle that ends up with NaN fails at startup, and the first request does not pay for what
 * onnxruntime does only once.
 */
export async function tryEngine(engine: Engine, encodePrompt: EncodePrompt): Promise<void> {
  const { promptIds, rowPrompts } = encodePrompt([{ role: 'user', content: 'a' }]);
  for (const mode of engine.info.modes) {
    const events = engine.generate({
      tenant: 'the backend itself',
      promptIds,
      rowPrompts,
      maxTokens: 1,
      stop: [],
      sampling: { key: seedKey(0), temperature: 1, topP: 1 },
      line: { ...OPEN_LINE, mode, ceiling: CEILING },
    });
    for await (const event of events) {
      // Only a closed gate goes above this ceiling.
      if (event.type === 'token' && event.weight > CEILING) throw new Error(NOTHING_USABLE[mode]);
    }
  }
}

const CEILING = 0.5;
const NOTHING_USABLE: Record<BackendMode, string> = {
  logits: 'the helpfulness expert or the logits router gave no usable prediction',
  layers: 'the layers router gave no usable prediction',
};
