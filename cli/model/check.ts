/** `plimsoll model check`: shows what a bundle on disk holds, and tries it. */
import { readdir } from 'node:fs/promises';
import type { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { describeBundle } from '#gpu-backend/inspect/describe-bundle.ts';
import { measureQuality, QUALITY_ROWS, type QualityModel } from '#gpu-backend/inspect/measure-quality.ts';
import { selfTest } from '#gpu-backend/inspect/self-test.ts';
import { loadBundleHead, openBundle, type ServedBundle } from '#gpu-backend/model/load-bundle.ts';
import { inBundle } from '../options/bundle-folder.ts';
import { progressBar } from '../options/progress-bar.ts';
import { whyNot } from '../options/why-not.ts';
import { checkRemoteBundle } from './check-remote.ts';

const LABEL_WIDTH = 12;

type Flags = { run: boolean; quality?: true; against?: string; engines?: string };

export const check = () =>
  new Command('check')
    .description('load a bundle as a backend would, show what is in it, and let each expert say one token')
    .argument('<dir>', 'the folder with plimsoll.json')
    .option('--no-run', 'only load and show it')
    .option('--quality', 'show how well it predicts some texts: the perplexity of each expert and of their mixture')
    .option('--against <dir>', 'with --quality: the same model in f32 or f16; show how far each row is from it')
    .option('--engines <file>', 'for a bundle without weights: where its experts run; every server is asked')
    .action(async (dir: string, { run, quality, against, engines }: Flags) => {
      if (against !== undefined && !quality) throw new Error('--against is for --quality: give that too');
      await readdir(dir).catch((cause: unknown) => {
        throw new Error(`${dir} cannot be read: ${whyNot(cause)}; a bundle is a folder, such as models/demo`, {
          cause,
        });
      });
      await inBundle(dir, async () => {
        if ((await loadBundleHead(dir)).manifest.remote !== undefined) {
          if (quality)
            throw new Error('--quality needs whole rows, and the engines of this bundle tell only some tokens');
          return checkRemoteBundle(dir, { engines, run, print });
        }
        if (engines !== undefined) throw new Error('--engines is for a bundle without weights, and this one has some');
        const bundle = await openBundle(dir);
        for (const [label, text] of await describeBundle(dir, bundle)) print(label, text);
        for (const { source, promptTokens, likeliest } of run ? await selfTest(bundle) : []) {
          print('self-test', `${source}: after ${promptTokens} tokens says ${JSON.stringify(likeliest)}`);
        }
        if (quality) await showQuality(bundle, against);
      });
    });

async function showQuality(bundle: ServedBundle, against: string | undefined): Promise<void> {
  const other = against === undefined ? undefined : await inBundle(against, () => openBundle(against));
  const open: OnnxExperts[] = [];
  const load = async (head: ServedBundle): Promise<QualityModel> => {
    const experts = await OnnxExperts.create(head);
    open.push(experts);
    return { head, experts };
  };
  let bar: SingleBar | undefined;
  const onTokens = (done: number, total: number) => {
    bar ??= tokenBar(total);
    bar.update(done);
  };
  try {
    const models = { own: await load(bundle), against: other && (await load(other)) };
    const { tokens, rows } = await measureQuality(models.own, { against: models.against, onTokens });
    bar?.stop();
    for (const row of QUALITY_ROWS) {
      const { perplexity, kl } = rows[row];
      const far = kl === null ? '' : `, ${kl.toFixed(5)} nats a token from ${against}`;
      print('quality', `${row}: perplexity ${perplexity.toFixed(3)} over ${tokens} tokens${far}`);
    }
  } finally {
    bar?.stop();
    for (const experts of open) await experts.dispose();
  }
}

function tokenBar(total: number): SingleBar {
  const bar = progressBar('measuring the quality', '{value}/{total} tokens');
  bar.start(total, 0);
  return bar;
}

const print = (label: string, text: string) => console.log(`${label.padEnd(LABEL_WIDTH)}${text}`);
