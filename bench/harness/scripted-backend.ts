/** The real backend server over an engine that draws in microseconds: for what lies before it. */
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { BackendConfig } from '#gpu-backend/server/config.ts';
import { serveEngine } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';

/** Its tokens are bytes. `jwks` has the key that its receipts can be checked with. */
export async function startScriptedBackend({ contextLength }: { contextLength: number }) {
  const { receiptPrivateJwk, jwks } = await receiptKeys();
  const { bundle: _none, ...config } = BackendConfig.parse({
    bundle: 'none',
    port: 0,
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk,
  });
  const encode = (text: string) => Array.from(new TextEncoder().encode(text));
  const backend = await serveEngine(
    await startScriptedEngine({ contextLength }),
    (messages) => ({ promptIds: encode(messages.map(({ content }) => content).join('\n')), rowPrompts: {} }),
    config,
  );
  return { backend, jwks };
}
