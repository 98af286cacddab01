import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { serverCommands } from './gguf.ts';

test('servers get the flags that docs/scaling.md names, one port and one adapter each', async () => {
  const page = await readFile('docs/scaling.md', 'utf8');
  const written = {
    base: 'my-model-gguf/base.gguf',
    adapters: { safety: 'my-model-gguf/safety.gguf', helpfulness: 'my-model-gguf/helpfulness.gguf' },
  };
  const [safety, helpfulness] = serverCommands(written);
  expect(page.replaceAll(/ \\\n +/g, ' ')).toContain(`\n${safety}\n`);
  expect(helpfulness).toBe(safety!.replace('safety.gguf', 'helpfulness.gguf').replace('8101', '8102'));
});
