/** Experts that are a prompt, or the base alone. */
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Expert, NO_ADAPTER } from './adapter.ts';
import { tinyBundle } from './fixtures/tiny-bundle.ts';
import { loadBundle } from './load-bundle.ts';
import { bundleBench, editJson } from './testing/bundle-bench.ts';
import { writeBundle } from './write-bundle.ts';

const { sound, place } = bundleBench('bundle-experts');

describe('an expert without an adapter', () => {
  const { experts, ...parts } = tinyBundle();
  const base = (role: Expert['role'], prompt?: string): Expert => ({
    name: role,
    role,
    ...NO_ADAPTER,
    ...(prompt !== undefined && { prompt }),
  });
  const [adapted] = experts as [Expert];
  const written = async (safety: Expert, helpfulness: Expert) => {
    const dir = place();
    await writeBundle(dir, { ...parts, experts: [safety, helpfulness] }, { dtype: 'f32' });
    return dir;
  };

  test.each<[string, Expert, string[], object]>([
    ['the base under a prompt', base('safety', 'Be careful.'), ['prompt.txt'], { adapter: false, prompt: true }],
    [
      'an adapter under a prompt',
      { ...adapted, prompt: 'Be careful.' },
      ['adapter_config.json', 'adapter_model.safetensors', 'prompt.txt'],
      { prompt: true },
    ],
    ['the base alone', base('safety'), [], { adapter: false }],
  ])('is written and read back: %s', async (_, safety, files, entry) => {
    const dir = await written(safety, base('helpfulness'));
    const bundle = await loadBundle(dir);
    expect(bundle.experts).toEqual([safety, base('helpfulness')]);
    expect(bundle.prompts).toEqual(safety.prompt === undefined ? {} : { safety: 'Be careful.' });
    expect(bundle.manifest.experts[0]).toEqual({ name: 'safety', role: 'safety', ...entry });
    expect((await readdir(join(dir, 'experts/safety'))).sort()).toEqual(files);
  });

  test('writes its prompt as it will be read, and its digest depends on it', async () => {
    const dir = await written(base('safety', '\ufeff Be careful.\r\nAlways.\n'), base('helpfulness'));
    expect(await readFile(join(dir, 'experts/safety/prompt.txt'), 'utf8')).toBe('Be careful.\nAlways.');
    const { digest } = await loadBundle(dir);
    await writeFile(join(dir, 'experts/safety/prompt.txt'), 'Be careful.\nAlways!');
    const changed = await loadBundle(dir);
    expect(changed.digest).not.toBe(digest);
    expect(changed.prompts.safety).toBe('Be careful.\nAlways!');
  });

  test.each<[string, (dir: string) => Promise<unknown>, RegExp]>([
    [
      'no prompt.txt',
      (dir) => rm(join(dir, 'experts/safety/prompt.txt')),
      /^experts\/safety\/prompt\.txt: cannot be read: found no such file/,
    ],
    [
      'an adapter that the manifest does not count on',
      (dir) => cp(join(sound, 'experts/safety'), join(dir, 'experts/safety'), { recursive: true }),
      /^plimsoll\.json: experts\.0\.adapter: found false, but there is experts\/safety\/adapter_config\.json/,
    ],
    [
      'a prompt that the manifest does not count on',
      (dir) => writeFile(join(dir, 'experts/helpfulness/prompt.txt'), 'Be kind.'),
      /^plimsoll\.json: experts\.1\.prompt: found false, but there is experts\/helpfulness\/prompt\.txt/,
    ],
    [
      'a chat template that takes no system message',
      (dir) => writeFile(join(dir, 'chat_template.jinja'), '{{ messages[-1].content }}<|end|>'),
      /^experts\/safety\/prompt\.txt: wanted a chat template that takes a system message: this one leaves it out/,
    ],
    [
      'a layers router',
      editJson('plimsoll.json', (json) => (json.router = { layers: { variant: 'corrected' } })),
      /^plimsoll\.json: experts\.0\.prompt: found true, wanted false or no layers router/,
    ],
  ])('is refused with %s', async (_, change, problem) => {
    const dir = await written(base('safety', 'Be careful.'), base('helpfulness'));
    await change(dir);
    await expect(loadBundle(dir)).rejects.toThrow(problem);
  });
});
