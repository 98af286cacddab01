/**
 * From what a user asked for to the provider that runs the graphs. Whoever names a provider gets
 * that one or an error. `auto` takes CUDA where it works, then WebGPU on a real GPU, then the CPU.
 */
import { fork } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { type Provider, type ProviderChoice, ProviderError } from './provider.ts';

const Outcome = z.discriminatedUnion('works', [
  /** `realGpu` is false if a driver for tests only imitates a GPU, or nobody can tell. */
  z.object({ works: z.literal(true), realGpu: z.boolean() }),
  /** `why` is a whole message, for a user. */
  z.object({ works: z.literal(false), why: z.string() }),
]);
export type Outcome = z.infer<typeof Outcome>;

export type Chosen = {
  provider: Provider;
  /** Why `auto` did not take what it would rather have taken: one message for each. */
  passedOver: readonly string[];
};

/** Throws an Error with the reason and a remedy if the provider that was named does not work. */
export async function chooseProvider(
  choice: ProviderChoice,
  { probe = probeProvider }: { probe?: (provider: Provider) => Promise<Outcome> } = {},
): Promise<Chosen> {
  if (choice === 'cpu') return { provider: 'cpu', passedOver: [] };
  if (choice !== 'auto') {
    const outcome = await probe(choice);
    if (!outcome.works) throw new Error(outcome.why);
    return { provider: choice, passedOver: [] };
  }
  const passedOver: string[] = [];
  for (const provider of ['cuda', 'webgpu'] as const) {
    const outcome = await probe(provider);
    if (outcome.works && outcome.realGpu) return { provider, passedOver };
    passedOver.push(outcome.works ? NO_REAL_GPU : outcome.why);
  }
  return { provider: 'cpu', passedOver };
}

const NO_REAL_GPU = 'provider webgpu: it works, but perhaps not on a real GPU. --provider webgpu takes it anyway.';

/** A driver that needs longer for four numbers is of no use. */
const PROBE_MS = 60_000;
const PROBE = fileURLToPath(new URL('./probe-process.ts', import.meta.url));
/** Set in the process of a probe, which must not start another. */
const IS_PROBE = 'PLIMSOLL_IS_PROBE';

/** Tries a provider in a process of its own. Never throws for what happens in there. */
export async function probeProvider(provider: Provider): Promise<Outcome> {
  if (process.env[IS_PROBE] !== undefined) throw new Error('a probe does not start probes');
  // `fork` leaves out `-e` and its script, which this process may have been started with.
  const child = fork(PROBE, [provider], {
    env: { ...process.env, [IS_PROBE]: '1' },
    silent: true,
    timeout: PROBE_MS,
    killSignal: 'SIGKILL',
  });
  let told: unknown;
  child.once('message', (message) => {
    told = message;
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? `code ${code}`));
  });
  child.stdout!.resume();
  const [how, log] = await Promise.all([ended, text(child.stderr!)]);
  if (how !== 'code 0') {
    return { works: false, why: new ProviderError(provider, `a process that tried it ended with ${how}.`).message };
  }
  const outcome = Outcome.parse(told);
  // Which library is missing, onnxruntime writes only to its log.
  const missing = /with error: [^\n]*?([^/\s]+: cannot open shared object file)/.exec(log)?.[1];
  if (outcome.works || missing === undefined) return outcome;
  return { works: false, why: outcome.why.replace('Failed to load shared library', `Failed to load ${missing}`) };
}
