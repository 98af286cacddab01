/**
 * `plimsoll train data <names...>`: downloads public preference sets from the hub, checked and
 * pinned.
 */
import path from 'node:path';
import { Command, Option } from 'commander';
import { Hub, PUBLIC_HUB } from '#gpu-backend/download/hub.ts';
import { patient } from '#gpu-backend/download/retry.ts';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { DATASET } from '#training/download/dataset-folder.ts';
import { downloadDataset, matching } from '#training/download/download-dataset.ts';
import {
  type DatasetName,
  isDatasetName,
  KNOWN_DATASETS,
  type KnownDataset,
} from '#training/download/known-datasets.ts';
import type { DatasetLock } from '#training/download/lock-file.ts';
import { claimFolder } from '#training/run/claim-folder.ts';
import { ROLE_DIMENSION } from '#training/stages/expert.ts';
import { byteProgress, megabytes } from '../options/byte-progress.ts';

type Flags = { out: string; list: boolean; update: boolean; endpoint: string };

export const data = () =>
  new Command('data')
    .description('download public preference sets; HF_TOKEN, if set, is sent only to the hub')
    .argument('[names...]', Object.keys(KNOWN_DATASETS).join(', '))
    .option('--list', 'show the known sets with their licences', false)
    .option('--out <dir>', 'folder in which each data set gets its own folder', 'data')
    .option('--update', 'if the revision is a branch, take its newest commit, not the one in the lock file', false)
    .addOption(new Option('--endpoint <url>', 'address of the hub').env('HF_ENDPOINT').default(PUBLIC_HUB))
    .action(download);

async function download(names: string[], { out, list, update, endpoint }: Flags): Promise<void> {
  if (list) {
    console.log(datasetList());
    return;
  }
  const known = Object.keys(KNOWN_DATASETS).join(', ');
  if (names.length === 0) throw new Error(`which data sets? Known are ${known}; --list tells more`);
  const unknown = names.find((name) => !isDatasetName(name));
  if (unknown !== undefined) throw new Error(`"${unknown}" is no known data set; known are ${known}`);

  const retrying = patient();
  const token = process.env.HF_TOKEN || null;
  const hub = new Hub({ ...retrying, endpoint: endpoint || PUBLIC_HUB, token, kind: 'dataset', fetch });
  const claimed = names.filter(isDatasetName).map((name) => {
    return { name, dir: claimFolder(path.join(out, name), { kind: DATASET, resume: true }) };
  });
  for (const { name, dir } of claimed) {
    const dataset: KnownDataset = KNOWN_DATASETS[name];
    const onFile = (file: { path: string; size: number }) => byteProgress(`${name}/${file.path}`, file.size);
    const lock = await downloadDataset(dataset, { hub, dir, update, retrying, onFile });
    console.log(summaryOf(name, { dataset, dir, lock }));
  }
}

/** Says what the folder holds now, and how to train on it. */
function summaryOf(
  name: DatasetName,
  { dataset, dir, lock }: { dataset: KnownDataset; dir: string; lock: DatasetLock },
): string {
  const { licence, weights, layout, judges, files } = dataset;
  const bytes = lock.files.reduce((sum, { size }) => sum + size, 0);
  const train = matching(
    lock.files.map((file) => file.path),
    files.train,
  );
  const pairs = train.map((file) => `${layout}:${path.join(dir, file)}`).join(' ');
  const roles = ExpertRole.options.filter((role) => judges.includes(ROLE_DIMENSION[role]));
  return [
    `${name}: ${lock.files.length} files, ${megabytes(bytes)} MB in ${dir}, commit ${lock.commit.slice(0, 12)}; ${licence}, weights: ${weights}`,
    ...roles.map((role) => `  plimsoll train expert --role ${role} --pairs ${pairs} ...`),
  ].join('\n');
}

function datasetList(): string {
  const rows = Object.entries<KnownDataset>(KNOWN_DATASETS).map(([name, dataset]) => {
    const { repo, revision, licence, weights, judges, what } = dataset;
    const pin = /^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, 12) : revision;
    return [name, `${repo} @ ${pin}`, judges.join(' and '), licence, `weights: ${weights}`, what];
  });
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
