/**
 * Turns a training stage into a command. Its settings determine the result of a run. They are a zod
 * schema that rejects unknown keys. Each setting is a flag, and a JSON file can give all of them. A
 * flag overrides the file, and the file overrides the default. Folders and the number of threads
 * are not settings, only flags.
 */
import { readFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import * as z from 'zod';
import { integer, number } from '../options/numbers.ts';
import { flagOf, settingsProblems, wantedBy } from './settings-error.ts';

export type StageSchema = z.ZodObject<Record<string, z.ZodType>>;

export type StageCommand<S extends StageSchema, F> = {
  name: string;
  description: string;
  /** Every key has a description, and every optional key has a default. */
  settings: S;
  /** Shown below the options by `--help`. */
  help?: string;
  /** Folders, `--resume` and the like. */
  flags: (command: Command) => Command;
  run: (settings: z.infer<S>, flags: F) => Promise<void>;
};

/**
 * Makes a new command on each call, because a commander command keeps the options of its last
 * parse.
 */
export const stageCommand =
  <S extends StageSchema, F extends object>(stage: StageCommand<S, F>) =>
  (): Command => {
    const { name, description, settings: schema, help, flags, run } = stage;
    const command = flags(new Command(name).description(description));
    // A file of settings may name the folders, too, so a missing one is noticed later.
    const required = command.options
      .filter((option) => option.mandatory)
      .map((option) => ({ option, description: option.description }));
    for (const { option } of required) {
      option.makeOptionMandatory(false);
      option.description += ' (required)';
    }
    const inFile = command.options.filter((option) => option.required);
    const keys = Object.keys(schema.shape);
    for (const key of keys) command.addOption(settingOption(key, schema.shape[key]!));
    command
      .option('--config <file>', 'settings and folders as JSON; flags override them')
      .option('--print-config', 'print all settings, as a file for --config has them, and stop', false);
    if (help !== undefined) command.addHelpText('after', `\n${help}`);
    return command.action(async (all: Record<string, unknown>) => {
      const { config: file, printConfig, ...rest } = all;
      const given = Object.fromEntries(
        Object.entries(rest).filter(([key, value]) => keys.includes(key) && value !== undefined),
      );
      const others = Object.fromEntries(Object.entries(rest).filter(([key]) => !keys.includes(key)));
      const fromFile =
        typeof file === 'string' ? await readSettings(file, schema, inFile) : { settings: {}, flags: {} };
      for (const [key, value] of Object.entries(fromFile.flags)) {
        if (command.getOptionValueSource(key) !== 'cli') others[key] = value;
      }
      const where = `plimsoll train ${name}`;
      const settings = parseSettings(schema, { ...fromFile.settings, ...given }, { where, as: 'flag' });
      if (printConfig === true) console.log(JSON.stringify(settings, null, 2));
      else {
        const missing = required.find(({ option }) => others[option.attributeName()] === undefined);
        if (missing !== undefined) {
          throw new Error(`${where}: ${missing.option.long} is missing: ${missing.description}`);
        }
        // This very stage declared the flags, and commander has parsed them.
        await run(settings, others as F);
      }
    });
  };

/**
 * Reads a settings file, which may have only known keys, as `learningRate` or as `learning-rate`.
 * Flags and defaults fill in what it leaves out. `options` are the flags with a value that it may
 * have besides, such as folders.
 */
export async function readSettings(
  file: string,
  schema: StageSchema,
  options: readonly Option[] = [],
): Promise<{ settings: Record<string, unknown>; flags: Record<string, unknown> }> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${file}: the settings cannot be read`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${file}: not JSON: ${(cause as Error).message}`, { cause });
  }
  // In the file every key is optional and has no default, because a default must not override a
  // flag.
  const shape = Object.fromEntries(Object.entries(schema.shape).map(([key, type]) => [key, bare(type).optional()]));
  const written = withCamelKeys(json);
  if (!isObject(written))
    return { settings: parseSettings(z.strictObject(shape), written, { where: file, as: 'key' }), flags: {} };
  const flags: Record<string, unknown> = {};
  const rest = { ...written };
  for (const option of options) {
    const key = option.attributeName();
    if (!(key in rest)) continue;
    flags[key] = flagValue(option, rest[key], file);
    delete rest[key];
  }
  return { settings: parseSettings(z.strictObject(shape), rest, { where: file, as: 'key' }), flags };
}

/** The value as if it had been given on the command line. */
function flagValue(option: Option, value: unknown, file: string): unknown {
  const key = option.attributeName();
  const wanted = option.argChoices?.join(' or ') ?? (option.parseArg ? 'a number' : 'a text');
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new Error(`${file}: ${key}: found ${JSON.stringify(value)}, wanted ${wanted}`);
  }
  if (option.argChoices && !option.argChoices.includes(`${value}`)) {
    throw new Error(`${file}: ${key}: found ${JSON.stringify(value)}, wanted ${wanted}`);
  }
  if (!option.parseArg) return `${value}`;
  try {
    return option.parseArg(`${value}`, undefined);
  } catch (cause) {
    throw new Error(`${file}: ${key}: found ${JSON.stringify(value)}, wanted ${wanted}`, { cause });
  }
}

const isObject = (json: unknown): json is Record<string, unknown> =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

function parseSettings<S extends StageSchema>(
  schema: S,
  value: unknown,
  { where, as }: { where: string; as: 'flag' | 'key' },
): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new Error(`${where}: ${settingsProblems(parsed.error, { known: Object.keys(schema.shape), value, as })}`);
  return parsed.data;
}

/** People write keys as the flags are written, so both ways are read. */
function withCamelKeys(json: unknown): unknown {
  if (!isObject(json)) return json;
  const camel = (key: string) => key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [camel(key), value]));
}

function bare(type: z.ZodType): z.ZodType {
  // zod gives the inner type of a default its core type, but every schema we write is a full
  // ZodType.
  return type instanceof z.ZodDefault ? (type.def.innerType as z.ZodType) : type;
}

function settingOption(key: string, type: z.ZodType): Option {
  const inner = bare(type);
  const flag = flagOf(key);
  const value = type instanceof z.ZodDefault ? JSON.stringify(type.parse(undefined)) : '[]';
  const fallback = value === '[]' ? '' : ` (default: ${value})`;
  const text = `${type.description ?? inner.description ?? ''}${fallback}`;
  // Our enums hold strings; zod's may hold numbers too.
  if (inner instanceof z.ZodEnum) return new Option(`${flag} <name>`, text).choices(inner.options as string[]);
  if (inner instanceof z.ZodArray) return new Option(`${flag} <items...>`, text);
  if (inner instanceof z.ZodNumber) {
    const whole = inner.format === 'safeint';
    return new Option(`${flag} ${whole ? '<n>' : '<x>'}`, text).argParser((value) => {
      const parsed = inner.safeParse((whole ? integer : number)(value));
      if (!parsed.success) throw new InvalidArgumentError(`wanted ${parsed.error.issues.map(wantedBy).join('; ')}`);
      return parsed.data;
    });
  }
  return new Option(`${flag} <text>`, text);
}
