import { spawn } from 'node:child_process';
import { Command, InvalidArgumentError, Option } from 'commander';
import { SETTINGS, scaled, withoutProbe } from '#lab/smollm2/settings.ts';
import { STEP_NAMES, type StepName } from '#lab/smollm2/steps.ts';
import { trainOneStep, trainSmollm2 } from '#lab/smollm2/train-smollm2.ts';
import { StoppedBySignal } from '#training/run/stopped-by-signal.ts';
import { dataOption } from '../options/data-option.ts';
import { integer, number } from '../options/numbers.ts';

type Flags = {
  base: string;
  data: string;
  out: string;
  threads: number;
  seed: number;
  scale: number;
  probe: boolean;
  plan: boolean;
  until?: StepName;
  redo?: StepName;
  step?: StepName;
};

export const smollm2 = () =>
  new Command('smollm2')
    .description(
      'make experts, routers and a probe for an imported bundle of SmolLM2-135M-Instruct; goes on where it was stopped',
    )
    .requiredOption('--base <bundle>', 'the imported base, in f32; its experts have no adapter')
    .addOption(dataOption('folder with the public pairs and prompts'))
    .requiredOption('--out <dir>', 'where everything goes; the bundle is in bundle/')
    .option('--plan', 'print the steps with their tokens and the time they take, and stop', false)
    .option('--scale <x>', 'all amounts of data times this', scaleOf, 1)
    .option('--seed <n>', 'decides data, order, draws and weights', integer, SETTINGS.seed)
    .option('--no-probe', 'train no probe: the bundle then has no second look at prompts')
    .addOption(new Option('--until <step>', 'the last step to do').choices(STEP_NAMES))
    .addOption(new Option('--redo <step>', 'do this step again, and everything that builds on it').choices(STEP_NAMES))
    .addOption(new Option('--step <step>', 'do this one step in this process').choices(STEP_NAMES).hideHelp())
    .option('--threads <n>', 'threads to use; 0: all cores', integer, 0)
    .action(async ({ plan, until, redo, step, scale, seed, probe, ...folders }: Flags) => {
      const settings = { ...scaled(SETTINGS, scale), seed };
      const given = { ...folders, settings: probe ? settings : withoutProbe(settings) };
      if (step !== undefined) await trainOneStep(step, given);
      else {
        const elsewhere = (name: StepName) => inChild(name, { ...folders, scale, seed, probe });
        await trainSmollm2({ ...given, planOnly: plan, until, redo, elsewhere });
      }
    });

function scaleOf(text: string): number {
  const value = number(text);
  if (!(value > 0)) throw new InvalidArgumentError('not a number above 0');
  return value;
}

const EXIT_WITH_PARENT = new URL('../local/exit-with-parent.ts', import.meta.url).href;

/**
 * Does a step in a child process. onnxruntime gives memory back only when its process ends. A
 * signal reaches the child too, which saves its work; we wait for it. The program is the one that
 * runs now.
 */
async function inChild(
  step: StepName,
  { base, data, out, threads, scale, seed, probe }: Omit<Flags, 'plan' | 'until' | 'redo' | 'step'>,
): Promise<void> {
  const flags = { base, data, out, threads, scale, seed, step };
  const args = [
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]),
    ...(probe ? [] : ['--no-probe']),
  ];
  const child = spawn(
    process.execPath,
    [...process.execArgv, '--import', EXIT_WITH_PARENT, process.argv[1]!, 'train', 'smollm2', ...args],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  // A terminal sends SIGINT to both of us.
  const wait = () => {};
  process.on('SIGINT', wait).on('SIGTERM', forward);
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject).once('exit', (...how) => resolve(how));
    });
    if (code === 0) return;
    if (code === STOPPED) throw new StoppedBySignal(`step ${step}: stopped; the same command goes on`);
    throw new Error(`step ${step} ended with ${signal ?? `code ${code}`}; the same command goes on from what is saved`);
  } finally {
    process.off('SIGINT', wait).off('SIGTERM', forward);
  }
}

/** The exit code of a step that a signal stopped and that saved its work. */
const STOPPED = 130;
