/** The backend as a process: settings from the environment, one `ready` line, an orderly end on SIGTERM. */
import { readConfig } from './config.ts';
import { startBackend } from './start-backend.ts';

function stop(message: string): never {
  console.error(`plimsoll backend: ${message}`);
  process.exit(1);
}

try {
  const backend = await startBackend(readConfig(process.env));
  let told = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      told = true;
      void backend.close().then(() => process.exit(0));
    });
  }
  // A backend that can answer nobody must not look alive to whoever supervises it.
  void backend.engineStopped.then(() => told || stop('the engine stopped'));
  console.log(`ready ${backend.url}`);
} catch (error) {
  stop(error instanceof Error ? error.message : String(error));
}
