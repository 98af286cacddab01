/**
 * The settings of a local backend that are options too. `backend` has them, and `serve` has the
 * same ones for all of its backends. Each stands for a variable, and the backend's own parser reads
 * both (gpu-backend/server/config.ts).
 */
import type { Command } from 'commander';
import type { BackendConfig } from '#gpu-backend/server/config.ts';

/** What commander gives for them. */
export type BackendFlags = {
  provider?: string | undefined;
  context?: string | undefined;
  kvBytes?: string | undefined;
  prefixCache?: string | undefined;
  publicPrefixes?: string | undefined;
  /** false with `--no-speculation`. */
  speculation?: boolean;
};

type BackendSetting = Extract<keyof BackendConfig, keyof BackendFlags>;

const OPTIONS = {
  provider: {
    variable: 'PLIMSOLL_PROVIDER',
    flags: '--provider <name>',
    what: 'what runs the model: cpu, webgpu, cuda or auto, in place of PLIMSOLL_PROVIDER',
  },
  context: {
    variable: 'PLIMSOLL_CONTEXT',
    flags: '--context <tokens>',
    what: 'tokens of prompt and answer together, in place of PLIMSOLL_CONTEXT',
  },
  kvBytes: {
    variable: 'PLIMSOLL_KV_BYTES',
    flags: '--kv-bytes <n>',
    what: 'memory for keys and values, in place of PLIMSOLL_KV_BYTES',
  },
  prefixCache: {
    variable: 'PLIMSOLL_PREFIX_CACHE',
    flags: '--prefix-cache <bytes>',
    what: 'memory for kept prefixes, in place of PLIMSOLL_PREFIX_CACHE; 0 keeps none',
  },
  publicPrefixes: {
    variable: 'PLIMSOLL_PUBLIC_PREFIXES',
    flags: '--public-prefixes <file>',
    what: 'system prompts that all tenants share, in place of PLIMSOLL_PUBLIC_PREFIXES',
  },
  speculation: {
    variable: 'PLIMSOLL_SPECULATION',
    flags: '--no-speculation',
    what: 'do not read ahead where an answer repeats its prompt; like PLIMSOLL_SPECULATION=off',
  },
} as const satisfies Record<BackendSetting, { variable: string; flags: string; what: string }>;

/** Adds all of them to a command. */
export function addBackendOptions(command: Command): Command {
  for (const { flags, what } of Object.values(OPTIONS)) command.option(flags, what);
  return command;
}

/** The variables that the given options stand for. */
export function backendVariables({ speculation = true, ...flags }: BackendFlags): Record<string, string> {
  const given = { ...flags, speculation: speculation ? undefined : 'off' };
  return Object.fromEntries(
    // The cast is safe: the keys are the object's own.
    (Object.keys(OPTIONS) as BackendSetting[]).flatMap((setting): [string, string][] => {
      const value = given[setting];
      return value === undefined ? [] : [[OPTIONS[setting].variable, value]];
    }),
  );
}

/** The option that stands for a variable, as in `--kv-bytes`, or undefined if there is none. */
export function optionOf(variable: string): string | undefined {
  const option = Object.values(OPTIONS).find((one) => one.variable === variable);
  return option?.flags.split(' ', 1)[0];
}
