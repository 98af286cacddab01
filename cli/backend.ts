/** `plimsoll backend`: one backend in this process, as a deployment runs it. */
import { Command } from 'commander';

export function backendCommand(): Command {
  return new Command('backend')
    .description('Serve one bundle to the edge, until told to stop. Settings come from the environment.')
    .option('--bundle <dir>', 'the bundle to serve, in place of PLIMSOLL_BUNDLE')
    .option('--port <n>', 'where to listen, in place of PLIMSOLL_BACKEND_PORT; 0 takes any free port')
    .addHelpText(
      'after',
      `
PLIMSOLL_DIRECTIVE_SECRET and PLIMSOLL_RECEIPT_PRIVATE_JWK are needed; docs/operations.md has the whole list.`,
    )
    .action(async ({ bundle, port }: { bundle?: string; port?: string }) => {
      if (bundle !== undefined) process.env.PLIMSOLL_BUNDLE = bundle;
      if (port !== undefined) process.env.PLIMSOLL_BACKEND_PORT = port;
      await import('#gpu-backend/server/main.ts');
    });
}
