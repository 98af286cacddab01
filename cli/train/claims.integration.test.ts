/**
 * Tests every command that writes a folder against what it may find there. No user's files are
 * lost, and a command reports a bad output folder at once.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { TOKENIZER_CONFIG } from '#training/tokenizer/chat-files.ts';
import { evalCommand } from '../eval.ts';
import { studyCommand } from '../study.ts';
import { trainCommand } from '../train.ts';

// The small world is the only input that commands generate instead of reading it. Without this
// mock, some of them would start hours of work.
vi.mock('#lab/world/training-data.ts', async (original) => ({
  ...(await original<typeof import('#lab/world/training-data.ts')>()),
  worldDialogues: () => {
    throw new Error('the work was begun');
  },
}));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'plimsoll-claims-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const at = (...names: string[]) => path.join(dir, ...names);

/** The inputs need not exist: a command checks its output folder before it looks at them. */
const BASE = '--base none --tokenizer none';
const MODELS = `${BASE} --reward none --cost none`;
const EXPERTS = `${BASE} --safety none --helpfulness none --dual none`;

function write(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(at(name)), { recursive: true });
    writeFileSync(at(name), text);
  }
}

const run = (stage: Record<string, string>) => () =>
  write({ 'out/metrics.jsonl': '{"step":1,"loss":2}\n', 'out/step-000001/state.json': '{}', ...stage });
const bundle = () => writeBundle(at('out'), tinyBundle()).then(() => undefined);

/**
 * For each command: how to call it, and how to make a folder of its own kind in `out`. `folder` is
 * that folder's name, if not `out`. With `resumes`, the command continues in such a folder without
 * a flag.
 */
type Case = {
  args: string;
  folder?: string;
  ours: () => void | Promise<void>;
  ways: 'force' | 'force or resume' | 'resumes';
};
const COMMANDS: Record<string, Case> = {
  tokenizer: {
    args: 'tokenizer --data none --out OUT',
    ours: () => write({ 'out/tokenizer_config.json': JSON.stringify(TOKENIZER_CONFIG) }),
    ways: 'force',
  },
  sft: { args: 'sft --tokenizer none --out OUT', ours: run({ 'out/config.json': '{}' }), ways: 'force or resume' },
  reward: {
    args: `reward ${BASE} --out OUT`,
    ours: run({ 'out/score.json': '{"kind":"reward"}' }),
    ways: 'force or resume',
  },
  cost: { args: `cost ${BASE} --out OUT`, ours: run({ 'out/score.json': '{"kind":"cost"}' }), ways: 'force or resume' },
  expert: {
    args: `expert --role safety ${BASE} --out OUT`,
    ours: run({ 'out/adapter.json': '{"role":"safety"}' }),
    ways: 'force or resume',
  },
  rank: {
    args: `rank ${MODELS} --out OUT`,
    ours: () =>
      write({
        'out/train.jsonl':
          '{"prompt":[{"role":"user","content":"a"}],"response_0":"b","response_1":"c","better":0,"safer":null,"source":"x"}\n',
      }),
    ways: 'force',
  },
  router: {
    args: `router --kind layers ${EXPERTS} --out OUT`,
    ours: run({ 'out/router.json': '{"kind":"layers"}' }),
    ways: 'force or resume',
  },
  export: { args: `export ${BASE} --id x --out OUT`, ours: bundle, ways: 'force' },
  demo: { args: 'demo --data none --runs RUNS --out OUT', ours: bundle, ways: 'force' },
  'demo --runs': {
    args: 'demo --data none --runs OUT --out RUNS',
    ours: () => write({ 'out/reward/metrics.jsonl': '{"step":1,"loss":2}\n' }),
    ways: 'resumes',
  },
  smollm2: {
    args: 'smollm2 --base none --data none --out OUT',
    ours: () => write({ 'out/recipe.json': '{"recipe":"smollm2"}' }),
    ways: 'resumes',
  },
  'real-share': {
    args: 'real-share --data none --out OUT',
    ours: () => write({ 'out/tokenizer/tokenizer_config.json': JSON.stringify(TOKENIZER_CONFIG) }),
    ways: 'resumes',
  },
  classifier: {
    args: 'classifier --data none --out OUT',
    ours: () => write({ 'out/classifier.bin': 'PLMC...' }),
    ways: 'force',
  },
  probes: {
    args: 'probes --base none --data none --out OUT',
    ours: () => write({ 'out/states/settings.json': '{"base":"ab","prompts":"cd"}' }),
    ways: 'resumes',
  },
  study: {
    args: 'study --from none --report RUNS --out OUT',
    ours: () => write({ 'out/seed-7/answers/base@world-1.jsonl': '{}\n' }),
    ways: 'resumes',
  },
  'study --report': {
    args: 'study --from none --out RUNS --report OUT',
    ours: () => write({ 'out/summary.json': '{}', 'out/README.md': 'A report.' }),
    ways: 'force',
  },
  data: {
    args: 'data pku-saferlhf --endpoint http://127.0.0.1:9 --out DIR',
    folder: 'pku-saferlhf',
    // This lock file is invalid, so the command fails before it downloads anything.
    ours: () => write({ 'pku-saferlhf/dataset.lock.json': '{"repo":"x"}' }),
    ways: 'resumes',
  },
};
const NAMES = Object.keys(COMMANDS);
const outOf = (name: string) => at(COMMANDS[name]!.folder ?? 'out');

/**
 * Runs the command and returns its error message. Every command here fails, because its inputs are
 * missing.
 */
async function fails(name: string, ...more: string[]): Promise<string> {
  const places: Record<string, string> = { OUT: at('out'), RUNS: at('runs'), DIR: dir };
  return failsWith(
    COMMANDS[name]!.args.split(' ').map((arg) => places[arg] ?? arg),
    ...more,
  );
}
async function failsWith(args: string[], ...more: string[]): Promise<string> {
  const [command, rest] = args[0] === 'study' ? [studyCommand(), args.slice(1)] : [trainCommand(), args];
  quiet(command);
  const error = await command.parseAsync([...rest, ...more], { from: 'user' }).then(
    () => expect.unreachable('the command did not fail'),
    (thrown: Error) => thrown,
  );
  return error.message;
}
function quiet(command: Command): void {
  command.exitOverride().configureOutput({ writeErr: () => {} });
  command.commands.forEach(quiet);
}

/** Every file with its text, to see that nothing changed. */
function snapshot(): Record<string, string | null> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => path.join(entry.parentPath, entry.name)).map((file) => [file, readFileSync(file, 'latin1')]),
  );
}

describe.each(NAMES)('%s', (name) => {
  const { ours, ways } = COMMANDS[name]!;

  test.each([
    ['somebody’s files', { 'thesis.tex': 'years', 'deep/er.txt': 'more' }],
    // Files with names that we use too, but with somebody else's content.
    [
      'files with the same names as ours',
      {
        'config.json': '{"model_type":"llama"}',
        'tokenizer.json': '{}',
        'tokenizer_config.json': '{"tokenizer_class":"X"}',
        'plimsoll.json': '{}',
        'train.jsonl': '{"prompt":"a","chosen":"b"}',
        'metrics.jsonl': '{"epoch":1}',
        'summary.json': '[]',
        'classifier.bin': 'mine',
        'adapter.json': '{}',
        'tokenizer/tokenizer.json': '{}',
        'seed-1/notes.txt': 'mine',
      },
    ],
  ])('never touches %s, forced or not', async (_what, files) => {
    write(
      Object.fromEntries(
        Object.entries(files).map(([file, text]) => [path.join(path.basename(outOf(name)), file), text]),
      ),
    );
    const before = snapshot();
    const flags = ways === 'resumes' ? [[]] : ways === 'force' ? [[], ['--force']] : [[], ['--force'], ['--resume']];
    for (const more of flags) {
      expect(await fails(name, ...more)).toMatch(/ is not empty and not .*: nothing was touched; name a new folder/);
      expect(snapshot()).toEqual(before);
    }
  });

  test('uses a folder of its own kind only as its flags say', async () => {
    await ours();
    const before = snapshot();
    const already = / holds .* already: .*--force replaces it, or name another folder$/;
    if (ways === 'resumes') expect(await fails(name)).not.toMatch(already);
    else {
      expect(await fails(name)).toMatch(already);
      expect(await fails(name, '--force')).not.toMatch(/already|not empty/);
    }
    if (ways === 'force or resume') expect(await fails(name, '--resume')).not.toMatch(/already|not empty/);
    // Nothing changes until there is something to put in its place.
    expect(snapshot()).toEqual(before);
  });

  test('rejects a file, a dangling link and a link to a file', async () => {
    const out = outOf(name);
    writeFileSync(out, 'mine');
    expect(await fails(name)).toMatch(/ is a file; a folder is wanted$/);
    expect(readFileSync(out, 'utf8')).toBe('mine');
    rmSync(out);
    symlinkSync(at('nowhere'), out);
    expect(await fails(name)).toMatch(/ is a link to nothing; a folder is wanted$/);
    rmSync(out);
    write({ file: 'mine' });
    symlinkSync(at('file'), out);
    expect(await fails(name)).toMatch(/ is a file; a folder is wanted$/);
  });

  test('checks the folder that a link points to', async () => {
    write({ 'elsewhere/thesis.tex': 'years' });
    symlinkSync(at('elsewhere'), outOf(name));
    expect(await fails(name)).toMatch(/ is not empty and not /);
    rmSync(outOf(name));
    await ours();
    cpSync(outOf(name), at('moved'), { recursive: true });
    rmSync(outOf(name), { recursive: true });
    symlinkSync(at('moved'), outOf(name));
    expect(await fails(name)).toMatch(ways === 'resumes' ? /^(?!.*(already|not empty))/ : / already: /);
  });

  test.skipIf(!existsSync('/proc/self'))('says at once that a folder cannot be made', async () => {
    const places: Record<string, string> = { OUT: '/proc/none/out', RUNS: at('runs'), DIR: '/proc/none' };
    const message = await failsWith(COMMANDS[name]!.args.split(' ').map((arg) => places[arg] ?? arg));
    expect(message).toMatch(/^\/proc\/none.* cannot be made: the file system of \/proc takes no new folders$/);
  });
});

test('does not replace a bundle to which somebody has added a file', async () => {
  await COMMANDS.export!.ours();
  write({ 'out/experts/notes.txt': 'mine' });
  symlinkSync(at('elsewhere'), at('out/link'));
  const message = await fails('export', '--force');
  expect(message).toMatch(
    / holds more than a bundle, and that would be lost \(experts\/notes\.txt, link\): nothing was touched/,
  );
});

test('does not replace a run with a run of another stage, kind or role', async () => {
  await COMMANDS.reward!.ours();
  for (const other of ['sft', 'expert', 'router', 'cost'])
    expect(await fails(other, '--force')).toMatch(/ is not empty and not a run of the stage /);
});

test('eval --json replaces a file only with --force, and never a folder', async () => {
  write({ 'figures.json': 'mine' });
  const evaluate = (...args: string[]) => {
    const command = evalCommand().exitOverride();
    return command.parseAsync(['--bundle', 'none', ...args], { from: 'user' }).then(
      () => expect.unreachable(),
      (error: Error) => error.message,
    );
  };
  expect(await evaluate('--json', at('figures.json'))).toMatch(/ is there already: --force replaces it/);
  expect(await evaluate('--json', at('figures.json'), '--force')).not.toMatch(/already/);
  expect(await evaluate('--json', dir, '--force')).toMatch(/ is a folder; a file is wanted$/);
  expect(readFileSync(at('figures.json'), 'utf8')).toBe('mine');
});

test('world replaces an earlier export only with --force, and never other files', async () => {
  vi.spyOn(console, 'log').mockReturnValue();
  onTestFinished(() => void vi.restoreAllMocks());
  const one = ['world', '--dialogues', '1', '--pairs', '1', '--out', at('out')];
  const again = (...more: string[]) => trainCommand().parseAsync([...one, ...more], { from: 'user' });
  await again();
  await expect(again()).rejects.toThrow('holds an export of the small world already: --force replaces it');
  await again('--force');
  rmSync(at('out'), { recursive: true });
  write({ 'out/dialogs_train.jsonl': 'mine' });
  await expect(again('--force')).rejects.toThrow('is not empty and not an export of the small world');
});
