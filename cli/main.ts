/**
 * `plimsoll <command>`. Loads only the named command, so `--help` and typing errors get an answer
 * at once.
 */
import '#gpu-backend/graph/no-telemetry.ts';
import { Command } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { INSTALLED } from './options/installed.ts';
import { plainHelp } from './options/plain-help.ts';

const COMMANDS: Record<string, { summary: string; load: () => Promise<Command> }> = {
  serve: {
    summary: 'run all of Plimsoll on this machine, with demo tenants',
    load: async () => (await import('./serve.ts')).serveCommand(),
  },
  backend: {
    summary: 'serve one bundle to the edge',
    load: async () => (await import('./backend.ts')).backendCommand(),
  },
  drain: {
    summary: 'tell a backend to take nothing new',
    load: async () => (await import('./drain.ts')).drainCommand(),
  },
  policy: {
    summary: 'write, check, test, explain and compare policies, and put them live at an edge',
    load: async () => (await import('./policy.ts')).policyCommand(),
  },
  tenants: {
    summary: 'back up, restore and put all tenants of an edge',
    load: async () => (await import('./tenants.ts')).tenantsCommand(),
  },
  receipt: {
    summary: 'check whether a receipt is genuine',
    load: async () => (await import('./receipt.ts')).receiptCommand(),
  },
  model: {
    summary: 'fetch a model, make a bundle from one, or check a bundle',
    load: async () => (await import('./model.ts')).modelCommand(),
  },
  train: {
    summary: 'train tokenizer, base model, experts and classifier',
    load: async () => (await import('./train.ts')).trainCommand(),
  },
  eval: {
    summary: 'measure the experts of a bundle on held-out questions',
    load: async () => (await import('./eval.ts')).evalCommand(),
  },
  study: {
    summary: 'compare MidPO with the alternatives: train, answer, judge, report',
    load: async () => (INSTALLED ? leftOut('study') : (await import('./study.ts')).studyCommand()),
  },
};

// The reader of a pipe may leave early, as head does. Nobody reads the rest, so there is none.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

const [first, second] = process.argv.slice(2);
const named = first === 'help' ? second : first;

const program = new Command('plimsoll')
  .description(manifest.description)
  .version(manifest.version, '-v, --version')
  .showHelpAfterError('(plimsoll --help lists the commands)');
for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
  program.addCommand(plainHelp(name === named ? (await load()).summary(summary) : new Command(name).summary(summary)));
}

try {
  await program.parseAsync();
} catch (thrown) {
  console.error(`plimsoll: ${describe(thrown)}`);
  process.exitCode = exitCodeOf(thrown);
}

/**
 * 1, unless the error has an exit code of its own. A training run that was stopped by a signal has
 * one, because it lost nothing.
 */
function exitCodeOf(thrown: unknown): number {
  return thrown instanceof Error && 'exitCode' in thrown && typeof thrown.exitCode === 'number' ? thrown.exitCode : 1;
}

/** A stand-in for a command that a release leaves out. It says so, whatever arguments it gets. */
function leftOut(name: string): Command {
  return new Command(name)
    .description(`not in a release: run it in a checkout of the repository, as in: npx plimsoll ${name} --help`)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new Error(`${name} is not in a release; run it in a checkout of the repository`);
    });
}

/** The message, if the user can do something about the error. The stack, if it is a bug. */
function describe(thrown: unknown): string {
  const fault = [TypeError, RangeError, ReferenceError, SyntaxError].some((kind) => thrown instanceof kind);
  if (!(thrown instanceof Error)) return String(thrown);
  return fault ? (thrown.stack ?? thrown.message) : thrown.message;
}
