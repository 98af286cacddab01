/** `plimsoll model check`: shows what a bundle on disk holds, and tries it. */
import { readdir } from 'node:fs/promises';
import { Command } from 'commander';
import { describeBundle } from '#gpu-backend/import/describe-bundle.ts';
import { selfTest } from '#gpu-backend/import/self-test.ts';
import { loadBundle } from '#gpu-backend/model/load-bundle.ts';
import { inBundle } from '../options/bundle-folder.ts';
import { whyNot } from '../options/why-not.ts';

const LABEL_WIDTH = 12;

export const check = () =>
  new Command('check')
    .description('load a bundle as a backend would, show what is in it, and let each expert say one token')
    .argument('<dir>', 'the folder with plimsoll.json')
    .option('--no-run', 'only load and show it')
    .action(async (dir: string, { run }: { run: boolean }) => {
      await readdir(dir).catch((cause: unknown) => {
        throw new Error(`${dir} cannot be read: ${whyNot(cause)}; a bundle is a folder, such as models/demo`, {
          cause,
        });
      });
      await inBundle(dir, async () => {
        const bundle = await loadBundle(dir);
        for (const [label, text] of await describeBundle(dir, bundle)) print(label, text);
        if (!run) return;
        for (const { source, promptTokens, likeliest } of await selfTest(bundle)) {
          print('self-test', `${source}: after ${promptTokens} tokens says ${JSON.stringify(likeliest)}`);
        }
      });
    });

const print = (label: string, text: string) => console.log(`${label.padEnd(LABEL_WIDTH)}${text}`);
