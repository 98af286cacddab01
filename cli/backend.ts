/** `plimsoll backend`: runs one backend in this process, as a deployment does. */
import { Command } from 'commander';

type Flags = {
  bundle?: string;
  port?: string;
  provider?: string;
  context?: string;
  kvBytes?: string;
  prefixCache?: string;
  publicPrefixes?: string;
  speculation: boolean;
};

export function backendCommand(): Command {
  return new Command('backend')
    .description('serve one bundle to the edge until told to stop; settings come from the environment')
    .option('--bundle <dir>', 'the bundle to serve, in place of PLIMSOLL_BUNDLE')
    .option('--port <n>', 'where to listen, in place of PLIMSOLL_BACKEND_PORT; 0 takes any free port')
    .option('--provider <name>', 'what runs the model: cpu, webgpu, cuda or auto, in place of PLIMSOLL_PROVIDER')
    .option('--context <tokens>', 'tokens of prompt and answer together, in place of PLIMSOLL_CONTEXT')
    .option('--kv-bytes <n>', 'memory for keys and values, in place of PLIMSOLL_KV_BYTES')
    .option('--prefix-cache <bytes>', 'memory for kept prefixes, in place of PLIMSOLL_PREFIX_CACHE; 0 keeps none')
    .option('--public-prefixes <file>', 'system prompts that all tenants share, in place of PLIMSOLL_PUBLIC_PREFIXES')
    .option('--no-speculation', 'do not read ahead where an answer repeats its prompt; like PLIMSOLL_SPECULATION=off')
    .addHelpText(
      'after',
      `
PLIMSOLL_DIRECTIVE_SECRET, PLIMSOLL_DRAW_SECRET and PLIMSOLL_RECEIPT_PRIVATE_JWK are required; docs/operations.md lists all settings.`,
    )
    .action(async (options: Flags) => {
      const { bundle, port, provider, context, kvBytes, prefixCache, publicPrefixes, speculation } = options;
      const { runBackend } = await import('#gpu-backend/server/run-backend.ts');
      const env = {
        ...process.env,
        ...(bundle !== undefined && { PLIMSOLL_BUNDLE: bundle }),
        ...(port !== undefined && { PLIMSOLL_BACKEND_PORT: port }),
        ...(provider !== undefined && { PLIMSOLL_PROVIDER: provider }),
        ...(context !== undefined && { PLIMSOLL_CONTEXT: context }),
        ...(kvBytes !== undefined && { PLIMSOLL_KV_BYTES: kvBytes }),
        ...(prefixCache !== undefined && { PLIMSOLL_PREFIX_CACHE: prefixCache }),
        ...(publicPrefixes !== undefined && { PLIMSOLL_PUBLIC_PREFIXES: publicPrefixes }),
        ...(!speculation && { PLIMSOLL_SPECULATION: 'off' }),
      };
      try {
        await runBackend({ env });
      } catch (error) {
        console.error(`plimsoll backend: ${error instanceof Error ? error.message : String(error)}`);
        process.exitCode = 1;
      }
    });
}
