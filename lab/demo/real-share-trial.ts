/**
 * How much real text can the base take? We repeat the same short run once for each share of real
 * conversations, with everything else alike. Then we compare the loss on held-out dialogues of the
 * small world, the loss on held-out real ones, and the answers drawn from the base. `npx plimsoll
 * train real-share` writes the table that docs/training.md shows. You can stop and resume it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { baseCorpus } from '#training/stages/base-corpus.ts';
import { sftStage } from '#training/stages/sft.ts';
import { tokenizerStage } from '#training/stages/tokenizer.ts';
import { openTokenizer, readChatFiles } from '#training/tokenizer/chat-files.ts';
import { DEMO } from '../methods/recipe.ts';
import { heldOutDialogues, worldDialogues } from '../world/training-data.ts';
import { judgeBase } from './judge-base.ts';

type TrialOptions = { shares: number[]; steps: number; dialogues: number; out: string; data: string; threads: number };
type TrialRow = { share: number; world: number; real: number; onTopic: number; unknownSentences: number };

export async function realShareTrial({ shares, steps, dialogues, out, data, threads }: TrialOptions): Promise<string> {
  const { seed, config, edition } = DEMO;
  const corpusOf = (realShare: number) =>
    baseCorpus({ seed, generated: worldDialogues({ seed, edition, count: dialogues }), realShare, dataDir: data });
  // One vocabulary for all shares, learned where there is most real text. No share may win because
  // of its tokenizer.
  const widest = await corpusOf(Math.max(...shares));
  const tokenizerDir = path.join(out, 'tokenizer');
  makeFolder(out);
  await tokenizerStage({ corpus: widest, out: tokenizerDir, vocabSize: config.vocab_size });
  const tokenizer = openTokenizer(await readChatFiles(tokenizerDir));
  const rows: TrialRow[] = [];
  for (const share of shares) {
    const dir = path.join(out, `share-${share}`);
    await sftStage({
      ...DEMO.base.sft,
      steps,
      learningRate: DEMO.base.runs[0].learningRate,
      resume: true,
      seed,
      config,
      from: null,
      tokenizer,
      corpus: await corpusOf(share),
      // The held-out rows of the largest share. No share trains on them, because all shares take
      // their real rows from the same order, and the held-out rows come first in it.
      heldOut: { ...heldOutDialogues({ seed, edition }), real: widest.heldOutReal },
      corpusSettings: { worldDialogues: dialogues, realShare: share },
      out: dir,
      threads,
    });
    const metrics = (await readFile(path.join(dir, 'metrics.jsonl'), 'utf8')).trim().split('\n');
    const last = JSON.parse(metrics.at(-1)!) as Record<string, number>;
    const { onTopic, unknownSentences } = await judgeBase({
      base: dir,
      tokenizer: tokenizerDir,
      perAsk: 1,
      edition,
      sampling: DEMO.evaluation,
      threads,
    });
    rows.push({ share, world: last.heldOutLoss!, real: last['heldOutLoss.real']!, onTopic, unknownSentences });
    await writeFile(path.join(out, 'trial.json'), `${JSON.stringify({ steps, rows }, null, 2)}\n`);
  }
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  return [
    '| real share | loss, held-out world | loss, held-out real | on topic | unknown sentences |',
    '| --- | --- | --- | --- | --- |',
    ...rows
      .map(({ share, world, real, onTopic, unknownSentences }) =>
        [percent(share), world.toFixed(3), real.toFixed(3), percent(onTopic), percent(unknownSentences)].join(' | '),
      )
      .map((cells) => `| ${cells} |`),
  ].join('\n');
}
