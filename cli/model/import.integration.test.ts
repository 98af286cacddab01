/** `plimsoll model import` as a user sees it: each case starts a process. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { base, modelTensors } from '#gpu-backend/import/testing/make-midpo.ts';
import { ggufModel, tinyModel, writeHuggingFaceFolder } from '#gpu-backend/import/testing/make-sources.ts';
import { tinyBundle } from '#gpu-backend/model/fixtures/tiny-bundle.ts';
import { writeBundle } from '#gpu-backend/model/write-bundle.ts';
import { writeExpertsFolder } from '#gpu-backend/model/write-experts-folder.ts';
import { ended, startPlimsoll } from '../testing/run-plimsoll.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'plimsoll-import-'));
  const parts = tinyModel({ max_position_embeddings: 4096 });
  await writeFile(path.join(folder, 'tiny.gguf'), ggufModel(parts, { type: 'Q8_0' }));
  await writeHuggingFaceFolder(path.join(folder, 'tiny'), parts, { dtype: 'BF16' });
  await writeHuggingFaceFolder(path.join(folder, 'midpo'), { ...base, weights: modelTensors() });
  await writeBundle(path.join(folder, 'bundle'), parts, { dtype: 'f32' });
  await writeFile(path.join(folder, 'careful.txt'), 'Be careful.');
  await writeFile(path.join(folder, 'latin-1.txt'), Buffer.from('Sois discret à propos.', 'latin1'));
  await writeFile(path.join(folder, 'empty.txt'), '\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const start = (...args: string[]) =>
  startPlimsoll(['model', ...args], { cwd: folder, env: { PLIMSOLL_CACHE: path.join(folder, 'cache') } });
const plimsoll = (...args: string[]) => ended(start(...args));

test('a model and no adapters: one command, and check says what each expert is', async () => {
  const { code, stdout } = await plimsoll('import', 'tiny.gguf', '--safety', 'prompt', '--out', 'prompted');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^prompted holds the model prompted, [\d.]+ MB of weights, digest [0-9a-f]{64}$/m);
  expect(stdout).toMatch(/^serve it: npx plimsoll serve --bundle prompted$/m);
  const checked = await plimsoll('check', 'prompted');
  expect(checked.code).toBe(0);
  expect(checked.stdout).toMatch(/^family +llama \(LlamaForCausalLM\)$/m);
  expect(checked.stdout).toMatch(/^expert +safety: safety, the base, a system prompt of \d+ characters: "You are a/m);
  expect(checked.stdout).toMatch(/^expert +helpfulness: helpfulness, the base alone$/m);
  expect(checked.stdout).toMatch(/^source +tiny\.gguf, [\d,]+ bytes, sha256 [0-9a-f]{64}$/m);
  expect(checked.stdout).toMatch(/^self-test +safety: after \d+ tokens says "/m);
});

test('a folder, an adapter and a prompt for one expert, an adapter for the other', async () => {
  const safety = ['--safety', 'bundle/experts/safety', '--safety', 'prompt:careful.txt'];
  const rest = ['--helpfulness', 'bundle/experts/helpfulness', '--id', 'org/tiny', '--licence', 'MIT'];
  expect(await plimsoll('import', 'tiny', ...safety, ...rest, '--out', 'both')).toMatchObject({ code: 0 });
  const { stdout } = await plimsoll('check', 'both');
  expect(stdout).toMatch(/^id +org\/tiny$/m);
  expect(stdout).toMatch(/^weights +BF16, /m);
  expect(stdout).toMatch(/^licence +MIT$/m);
  expect(stdout).toMatch(
    /^expert +safety: safety, rank 4 on down_proj, alpha 8, [\d,]+ parameters, a system prompt of 11 .*"Be careful."$/m,
  );
});

test('a model with two experts and a router of its own needs no options, and offers the mode of its layers', async () => {
  const { code, stderr } = await plimsoll('import', 'midpo', '--out', 'own');
  expect([code, stderr]).toEqual([0, expect.stringContaining('checking the finished bundle')]);
  const { stdout } = await plimsoll('check', 'own');
  expect(stdout).toMatch(/^expert +safety: safety, rank 4 on down_proj, alpha 8, /m);
  expect(stdout).toMatch(/^router +layers: faithful$/m);
  expect(stdout).toMatch(/^modes +logits, layers$/m);
  expect(stdout).toMatch(/^self-test +layers: after \d+ tokens says "/m);
  const refused = await plimsoll('import', 'midpo', '--safety', 'base', '--out', 'other');
  expect(refused.stderr).toMatch(/^plimsoll: midpo: found two experts and a router in the model itself, wanted no/m);
});

test('--experts takes both experts and the routers from one folder, on their own base alone', async () => {
  const { code } = await plimsoll('import', 'tiny', '--safety', 'base', '--out', 'bare');
  expect(code).toBe(0);
  const bytes = await readFile(path.join(folder, 'bare/model.safetensors'));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const write = (name: string, sha256: string) =>
    writeExpertsFolder(path.join(folder, name), {
      ...tinyBundle({ routers: true }),
      manifest: {
        base: { sha256, files: [] },
        default_weight: 0.5,
        licence: 'MIT',
        provenance: { description: 'a test', data: [] },
      },
    });
  await write('experts', sha256);
  const made = await plimsoll('import', 'tiny', '--experts', 'experts', '--licence', 'MIT', '--out', 'together');
  expect(made.code, made.stderr).toBe(0);
  const { stdout } = await plimsoll('check', 'together');
  expect(stdout).toMatch(/^expert +safety: safety, rank 4 on down_proj, alpha 8, /m);
  expect(stdout).toMatch(/^modes +logits, layers$/m);
  expect(stdout).toMatch(/^licence +MIT$/m);

  await write('others', '0'.repeat(64));
  const refused = await plimsoll('import', 'tiny', '--experts', 'others', '--out', 'wrong');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`plimsoll: others/experts.json: base.sha256: found a base whose model.safetensors`);
  expect(refused.stderr).toContain(`SHA-256 ${sha256}`);
  expect(refused.stderr).toContain(`wanted ${'0'.repeat(64)}`);
  const beside = await plimsoll('import', 'tiny', '--experts', 'experts', '--safety', 'base', '--out', 'wrong');
  expect(beside.stderr).toContain('--safety: found beside --experts, which brings both experts and the routers');
});

test('Ctrl-C ends with 130 and leaves no half bundle, and the same command goes on from there', async () => {
  // So many tensors that there is time between the first and the last.
  const parts = tinyModel({ num_hidden_layers: 300, max_position_embeddings: 4096 });
  await writeHuggingFaceFolder(path.join(folder, 'deep'), parts);
  const command = ['import', 'deep', '--safety', 'base', '--out', 'stopped'];
  const journal = path.join(folder, 'stopped.partial/import.jsonl');
  const child = start(...command);
  const end = ended(child);
  while (child.exitCode === null && !existsSync(journal)) await setTimeout(5);
  child.kill('SIGINT');
  const { code, stdout, stderr } = await end;
  expect([code, stdout]).toEqual([130, '']);
  expect(stderr).toMatch(/^plimsoll: stopped; the same command goes on from stopped\.partial$/m);
  expect(existsSync(path.join(folder, 'stopped'))).toBe(false);
  expect(existsSync(journal)).toBe(true);

  const next = await plimsoll(...command);
  expect([next.code, next.stdout]).toEqual([0, expect.stringMatching(/^stopped holds the model stopped, /)]);
  expect(existsSync(path.join(folder, 'stopped.partial'))).toBe(false);
  const digest = (text: string) => / digest ([0-9a-f]{64})$/m.exec(text)?.[1];
  const through = await plimsoll(...command.with(-1, 'through'), '--id', 'stopped');
  expect(digest(next.stdout)).toBe(digest(through.stdout));
});

test('check shows how well a bundle predicts texts, and how far it is from another', async () => {
  // The texts are cut to the context, which saves time.
  await writeHuggingFaceFolder(path.join(folder, 'short'), tinyModel({ max_position_embeddings: 128 }));
  for (const [out, ...weights] of [['whole'], ['small', '--weights', 'int4']]) {
    expect((await plimsoll('import', 'short', '--safety', 'base', ...weights, '--out', out!)).code).toBe(0);
  }
  const { code, stdout } = await plimsoll('check', 'small', '--no-run', '--quality', '--against', 'whole');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^weights +int4 in blocks of 32, exact arithmetic, [\d.]+ MB on disk, [\d.]+ MB in memory$/m);
  for (const row of ['safety', 'helpfulness', 'mixture']) {
    const line = new RegExp(
      `^quality +${row}: perplexity [\\d.]+ over \\d+ tokens, 0\\.\\d+ nats a token from whole$`,
      'm',
    );
    expect(stdout).toMatch(line);
  }
  const alone = await plimsoll('check', 'small', '--no-run', '--against', 'whole');
  expect([alone.code, alone.stderr]).toEqual([1, 'plimsoll: --against is for --quality: give that too\n']);
});

test('a shared base lies in the cache folder, and check says so', async () => {
  const { code } = await plimsoll('import', 'tiny', '--safety', 'base', '--share-base', '--out', 'shared');
  expect(code).toBe(0);
  expect(existsSync(path.join(folder, 'shared/model.safetensors'))).toBe(false);
  const { stdout } = await plimsoll('check', 'shared');
  expect(stdout).toMatch(/^base +shared with other bundles, in \S+cache\/blobs\/[0-9a-f]{64}$/m);
});

test('import without any argument asks for the source first, and then for --out', async () => {
  expect((await plimsoll('import')).stderr).toMatch(/^error: missing required argument 'source'$/m);
  expect((await plimsoll('import', 'tiny')).stderr).toMatch(/^plimsoll: --out is missing: /);
});

test.each<[args: string[], message: RegExp]>([
  [[], /^plimsoll: --safety is missing: .*\n {2}npx plimsoll model import tiny --safety prompt --out new$/m],
  [['--safety', 'prompt:nowhere.txt'], /--safety: nowhere\.txt cannot be read: no such file or folder/],
  [['--safety', 'prompt:latin-1.txt'], /--safety: latin-1\.txt: found bytes that are not UTF-8, wanted UTF-8/],
  [['--safety', 'prompt:empty.txt'], /--safety: empty\.txt: found no text, wanted a system prompt/],
  [['--safety', 'base', '--safety', 'prompt'], /--safety base stands alone/],
  [['--safety', 'promt'], /--safety: there is no folder promt; an expert is prompt, prompt:FILE, base, or the folder/],
  [['--safety', 'careful.txt'], /--safety: careful\.txt is a file; .* say prompt:careful\.txt$/m],
  [['--safety', 'a', '--safety', 'b'], /--safety: found two adapters, wanted one/],
  [['--safety', 'base', '--arithmetic', 'fast'], /--arithmetic is for quantised weights/],
  [['--safety', 'base', '--id', '-x'], /an id has letters, digits/],
  [['--safety', 'tiny'], /adapter_config\.json: found no such file, wanted a LoRA adapter as PEFT saves it/],
])('refuses %j in words', async (args, message) => {
  const { code, stdout, stderr } = await plimsoll('import', 'tiny', ...args, '--out', 'new');
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(message);
  expect(existsSync(path.join(folder, 'new'))).toBe(false);
  expect(existsSync(path.join(folder, 'new.partial'))).toBe(false);
});
