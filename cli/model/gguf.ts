/** `plimsoll model gguf`: writes a bundle's base and adapters for llama.cpp. */
import { Command, Option } from 'commander';
import { exportGguf, type GgufExport } from '#gpu-backend/export/export-gguf.ts';
import { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { inBundle } from '../options/bundle-folder.ts';
import { byteProgress } from '../options/byte-progress.ts';
import { untilSignal } from '../options/until-signal.ts';

type Flags = { out?: string; weights?: 'f32' | 'f16' };

/** As in the example of docs/scaling.md. */
const FIRST_PORT = 8101;

/** docs/scaling.md says why each of them matters. */
const SERVER_FLAGS = '--parallel 8 --ctx-size 16384 --cache-ram 0 --api-key-file key.txt';

export const gguf = () =>
  new Command('gguf')
    .description("write a bundle's base and its experts' adapters as GGUF, for servers of llama.cpp")
    .argument('<dir>', 'the folder with plimsoll.json')
    .addOption(
      new Option('--weights <type>', "the type of the base's matrices (default: as in the bundle)").choices([
        'f32',
        'f16',
      ]),
    )
    .option('--out <dir>', 'a new folder for the files (required)')
    .addHelpText('after', '\ndocs/scaling.md says how to serve experts from them.')
    .action(run);

async function run(dir: string, { out, weights }: Flags): Promise<void> {
  if (out === undefined) throw new Error('--out is missing: a new folder for the files, as in --out my-model-gguf');
  let bar: ReturnType<typeof byteProgress> | undefined;
  const onBytes = (done: number, total: number) => {
    bar ??= byteProgress('writing the base', total);
    bar.onBytes(done);
  };
  const written = await untilSignal('stopped', (signal) =>
    inBundle(dir, () => exportGguf({ bundle: dir, out, weights, onBytes, signal })).finally(() => bar?.done()),
  );
  console.log('start a server of llama.cpp for each expert; key.txt holds a key of your own:');
  for (const command of serverCommands(written)) console.log(`  ${command}`);
  console.log('make a bundle without weights, for the gate node:');
  console.log(`  npx plimsoll model remote ${dir} ${kinds(written)} --out my-gate-node`);
}

/** What starts each expert's server, the safety expert's first. */
export function serverCommands({ base, adapters }: GgufExport): string[] {
  return ExpertRole.options.map((role, i) => {
    const adapter = adapters[role];
    const lora = adapter === null ? '' : ` --lora ${adapter}`;
    return `llama-server --model ${base}${lora} --port ${FIRST_PORT + i} ${SERVER_FLAGS}`;
  });
}

/** What each expert is on its engine, as `model remote` wants to know it. */
const kinds = ({ adapters }: GgufExport) =>
  ExpertRole.options.map((role) => `--${role} ${adapters[role] === null ? 'base' : 'adapter'}`).join(' ');
