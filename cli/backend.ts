/** `plimsoll backend`: runs one backend in this process, as a deployment does. */
import { Command } from 'commander';
import { addBackendOptions, type BackendFlags, backendVariables } from './options/backend-options.ts';

type Flags = BackendFlags & { bundle?: string; port?: string; register?: string; region?: string };

export function backendCommand(): Command {
  const command = new Command('backend')
    .description('serve one bundle to the edge until told to stop; settings come from the environment')
    .option('--bundle <dir>', 'the bundle to serve, in place of PLIMSOLL_BUNDLE')
    .option('--port <n>', 'where to listen, in place of PLIMSOLL_BACKEND_PORT; 0 takes any free port')
    .option('--register <url>', 'the edge to register with, in place of PLIMSOLL_REGISTER')
    .option('--region <name>', 'where this backend is, as in weur, in place of PLIMSOLL_REGION');
  return addBackendOptions(command)
    .addHelpText(
      'after',
      `
PLIMSOLL_DIRECTIVE_SECRET, PLIMSOLL_DRAW_SECRET and PLIMSOLL_RECEIPT_PRIVATE_JWK are required; docs/operations.md lists all settings.`,
    )
    .action(async ({ bundle, port, register, region, ...flags }: Flags) => {
      const { runBackend } = await import('#gpu-backend/server/run-backend.ts');
      const env = {
        ...process.env,
        ...(bundle !== undefined && { PLIMSOLL_BUNDLE: bundle }),
        ...(port !== undefined && { PLIMSOLL_BACKEND_PORT: port }),
        ...(register !== undefined && { PLIMSOLL_REGISTER: register }),
        ...(region !== undefined && { PLIMSOLL_REGION: region }),
        ...backendVariables(flags),
      };
      try {
        await runBackend({ env });
      } catch (error) {
        console.error(`plimsoll backend: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      }
    });
}
