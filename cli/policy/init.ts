/** `plimsoll policy init`: a copy of a preset to begin with, and its schema beside it. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import * as z from 'zod';
import { makeFolder } from '#gpu-backend/model/make-folder.ts';
import { policyJsonSchema } from '#policies/json-schema.ts';

const PRESETS = new URL('../../policies/presets/', import.meta.url);
const SCHEMA_FILE = 'policy.schema.json';

type Flags = { preset: string; force: boolean; list: boolean };

export const init = () =>
  new Command('init')
    .description('write a policy to begin with, and the schema beside it that editors check it against')
    .argument('[file]', 'where to, such as tenants/acme.json', 'policy.json')
    .option('--preset <name>', 'what to begin with; --list tells which there are', 'balanced')
    .option('--list', 'show the presets and what each is for', false)
    .option('--force', 'replace the file if there is one', false)
    .addHelpText('after', '\nNext: plimsoll policy validate FILE, then plimsoll policy test FILE.')
    .action(async (file: string, { preset, force, list }: Flags) => {
      const presets = await readPresets();
      if (list) {
        for (const [name, document] of presets) console.log(`${name}\n  ${document.description}`);
        return;
      }
      const document = presets.get(preset);
      if (document === undefined) {
        throw new Error(`--preset: found "${preset}", wanted ${[...presets.keys()].join(', ')}`);
      }
      makeFolder(path.dirname(file));
      const text = toText({ ...document, $schema: `./${SCHEMA_FILE}` });
      await writeFile(file, text, { flag: force ? 'w' : 'wx' }).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'EEXIST') throw cause;
        throw new Error(`${file}: found a file there, wanted none; --force replaces it`, { cause });
      });
      const schemaFile = path.join(path.dirname(file), SCHEMA_FILE);
      await writeFile(schemaFile, toText(policyJsonSchema('policy')));
      console.log(`${file} is a copy of the preset ${preset}; ${schemaFile} is for editors`);
    });

const Preset = z.looseObject({ description: z.string() });

/** Those that a tenant may begin with; the operator's is another level's. */
async function readPresets(): Promise<Map<string, z.infer<typeof Preset>>> {
  const files = (await readdir(PRESETS)).filter((file) => file.endsWith('.json') && file !== 'operator.json').sort();
  const read = async (file: string) => Preset.parse(JSON.parse(await readFile(new URL(file, PRESETS), 'utf8')));
  return new Map(await Promise.all(files.map(async (file) => [path.parse(file).name, await read(file)] as const)));
}

const toText = (document: object) => `${JSON.stringify(document, null, 2)}\n`;
