/** The options of check.mjs, read and checked. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ENGINES } from './engines.mjs';

const PROMPTS = new URL('prompts.json', import.meta.url);

const OPTIONS = {
  model: { type: 'string' },
  engine: { type: 'string', default: 'vllm' },
  safety: { type: 'string' },
  helpfulness: { type: 'string' },
  'safety-prompt': { type: 'string' },
  'vllm-url': { type: 'string' },
  'sglang-url': { type: 'string' },
  'safety-name': { type: 'string' },
  'helpfulness-name': { type: 'string' },
  'top-k': { type: 'string', default: '20' },
  tokens: { type: 'string', default: '40' },
  questions: { type: 'string', default: '20' },
  context: { type: 'string', default: '4096' },
};

/** Throws an Error that names the option. README.md says what each of them is. */
export async function readSettings(args) {
  const { values } = parseArgs({ args, options: OPTIONS });
  const { model, 'vllm-url': vllmUrl, 'sglang-url': sglangUrl, 'safety-prompt': promptFile = null } = values;
  const kind = sglangUrl === undefined ? values.engine : 'sglang';
  const engine = ENGINES[kind];
  if (engine === undefined) throw new Error(`--engine: found ${kind}, wanted ${Object.keys(ENGINES).join(' or ')}`);
  if (model === undefined) throw new Error('--model is missing: the folder with config.json and tokenizer.json');
  const url = (vllmUrl ?? sglangUrl)?.replace(/\/+$/, '') ?? null;
  const expertOf = (role) => {
    const dir = values[role] ?? null;
    if (url !== null && dir !== null) {
      throw new Error(`--${role} is for an engine that is started here; --${role}-name names an adapter of one`);
    }
    return { dir, name: values[`${role}-name`] ?? (url === null && dir === null ? engine.base : role) };
  };
  const experts = { safety: expertOf('safety'), helpfulness: expertOf('helpfulness') };
  if (experts.safety.name === engine.base && promptFile === null) {
    throw new Error('--safety is missing: an adapter; or --safety-prompt, a file with a system prompt for the model');
  }
  const number = (name) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: wanted a whole number from 1`);
    return value;
  };
  const { keyVariable } = engine;
  const key = keyVariable === null ? null : (process.env[keyVariable] ?? null);
  return {
    ...{ kind, engine, model, url, experts, promptFile },
    prompt: promptFile === null ? null : (await readFile(promptFile, 'utf8')).trim(),
    // An engine that is started here gets a key of its own.
    key: key ?? (url === null && keyVariable !== null ? randomBytes(24).toString('hex') : null),
    ...{ topK: number('top-k'), tokens: number('tokens'), context: number('context') },
    prompts: JSON.parse(await readFile(PROMPTS, 'utf8')).slice(0, number('questions')),
  };
}
