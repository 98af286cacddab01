/**
 * A backend over a scripted engine, as a process of its own: for tests that kill it. Settings come
 * from the environment, as a real one's do, and STEP_MS says how long a token takes.
 */
import { startScriptedEngine } from '../../engine/testing/scripted-engine.ts';
import { BackendConfig } from '../config.ts';
import { runBackend } from '../run-backend.ts';
import { serveEngine } from '../start-backend.ts';

await runBackend({
  env: process.env,
  async start(options) {
    const config = BackendConfig.parse(options);
    const engine = await startScriptedEngine({ stepMs: Number(process.env.STEP_MS ?? 1), contextLength: 4096 });
    return serveEngine(
      engine,
      (messages) => ({
        promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))],
        rowPrompts: {},
      }),
      config,
      { registering: config },
    );
  },
});
