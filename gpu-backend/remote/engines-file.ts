/**
 * The engines' file: where a remote bundle's experts run. It belongs to a deployment and not to the
 * bundle, so that the same bundle, with the same digest, can be tested on one engine and served
 * from another. Secrets are never in it: it names the variables that hold them.
 */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { hasAdapter } from '../model/expert-kinds.ts';
import { ExpertRole, type Manifest } from '../model/manifest.ts';
import { RemoteEngine } from './ask-engine.ts';
import { LLAMA_CPP } from './llama-cpp.ts';
import { type IdOfText, openaiLogprobs } from './openai-logprobs.ts';
import type { Dialect } from './remote-engine.ts';
import { isSameServer } from './same-server.ts';
import { SGLANG } from './sglang.ts';
import { VLLM } from './vllm.ts';

/** The only one that knows tokens by their texts is the last. */
const DIALECTS = {
  vllm: () => VLLM,
  sglang: () => SGLANG,
  llamacpp: () => LLAMA_CPP,
  'openai-logprobs': openaiLogprobs,
} as const satisfies Record<string, (idOfText: IdOfText) => Dialect>;

/** How many positions are asked for at a time, unless the file says otherwise. */
const POSITIONS: Record<keyof typeof DIALECTS, number> = { vllm: 8, sglang: 8, llamacpp: 1, 'openai-logprobs': 1 };

// It is written to logs, so it may hold no secret. `abort`: no later check repeats a refused one.
const ServerUrl = z
  .url({ protocol: /^https?$/, error: 'wanted the URL of a server, as in http://10.0.0.5:8000', abort: true })
  .refine(isBare, {
    error: 'wanted a URL with no user, password, query or fragment; a key belongs in the variable of api_key_env',
    abort: true,
  });

function isBare(url: string): boolean {
  const { username, password } = new URL(url);
  return username === '' && password === '' && !/[?#]/.test(url);
}

const ExpertEngine = z
  .strictObject({
    engine: z.enum(['vllm', 'sglang', 'llamacpp', 'openai-logprobs']),
    /** Servers that hold the same model and adapter. */
    urls: z.array(ServerUrl).min(1).max(256),
    /** The adapter's name on the engine, or the model's. llama.cpp has it from its start. */
    model: z.string().min(1).nullable().default(null),
    /** The environment variable with the key that the servers want. */
    api_key_env: z
      .string()
      .regex(/^[A-Z_][A-Z0-9_]*$/, 'wanted the name of an environment variable')
      .optional(),
    /** How long one server may take for one answer, in milliseconds. */
    timeout_ms: z.int().min(10).max(600_000).default(30_000),
    /** The most positions that one question asks for; 1 makes no drafts. */
    positions: z.int().min(1).max(16).optional(),
    /** How many questions one server has at a time. More of them wait in the gate node. */
    at_once: z.int().min(1).max(65_536).default(256),
  })
  .superRefine(({ engine, urls, model, positions = 1 }, { addIssue }) => {
    for (const [i, url] of urls.entries()) {
      if (!urls.slice(0, i).some((other) => isSameServer(url, other))) continue;
      addIssue({ code: 'custom', path: ['urls', i], message: `${url} is there already, wanted each server once` });
    }
    if ((engine === 'vllm' || engine === 'openai-logprobs') && model === null) {
      addIssue({ code: 'custom', path: ['model'], message: `${engine} needs a name: the adapter's or the model's` });
    }
    if (engine === 'openai-logprobs' && positions > 1) {
      const message = `found ${positions}, wanted 1: this engine is asked for one position at a time`;
      addIssue({ code: 'custom', path: ['positions'], message });
    }
    if (engine === 'llamacpp' && model !== null) {
      addIssue({
        code: 'custom',
        path: ['model'],
        message: 'must not be set: a server of llama.cpp serves one expert, with the adapter of its --lora',
      });
    }
  });

const EnginesFile = z
  .strictObject({ safety: ExpertEngine, helpfulness: ExpertEngine })
  .superRefine(({ safety, helpfulness }, { addIssue }) => {
    // llama.cpp#26207: what it caches under one adapter, it reads under another.
    if (safety.engine !== 'llamacpp' || helpfulness.engine !== 'llamacpp') return;
    const shared = helpfulness.urls.find((url) => safety.urls.some((other) => isSameServer(url, other)));
    if (shared === undefined) return;
    const message = `${shared} serves both experts, wanted a server of llama.cpp for each`;
    addIssue({ code: 'custom', path: ['helpfulness', 'urls'], message });
  });
export type EnginesFile = z.infer<typeof EnginesFile>;

/**
 * Reads the file.
 *
 * @throws Error with the file, the field, what was found and what was wanted
 */
export async function readEnginesFile(file: string): Promise<EnginesFile> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${file}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${file}: found no JSON, wanted the engines of the experts`, { cause });
  }
  const parsed = EnginesFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '));
  throw new Error(`${file}: ${problems.join('; ')}`, { cause: parsed.error });
}

/**
 * The engines of both experts.
 *
 * @param topK k, the bundle's
 * @param vocabSize V, the bundle's
 * @throws Error if a variable that the file names is not set, or holds what no header can carry
 */
export function remoteEngines(
  file: EnginesFile,
  {
    topK,
    vocabSize,
    env,
    idOfText = () => undefined,
    warn,
  }: {
    topK: number;
    vocabSize: number;
    env: Readonly<Record<string, string | undefined>>;
    /** For an engine that names tokens by their texts (token-texts.ts). */
    idOfText?: IdOfText;
    /** Is told which server failed, and why. */
    warn?: (message: string) => void;
  },
): Record<'safety' | 'helpfulness', RemoteEngine> {
  const engineOf = (role: 'safety' | 'helpfulness') => {
    const { engine, urls, model, api_key_env, timeout_ms, at_once } = file[role];
    const apiKey = api_key_env === undefined ? null : env[api_key_env];
    if (apiKey === undefined || apiKey === '') {
      throw new Error(`${api_key_env} is not set, but the engines' file names it as the key of the ${role} expert`);
    }
    // `fetch` would repeat such a key in its error, and that goes to the log.
    if (apiKey !== null && !/^[\x21-\x7e]+$/.test(apiKey)) {
      throw new Error(`${api_key_env} is no key for the ${role} expert: wanted printable ASCII with no white space`);
    }
    return new RemoteEngine({
      ...{ dialect: DIALECTS[engine](idOfText), urls, model, topK, vocabSize, apiKey },
      timeoutMs: timeout_ms,
      atOnce: at_once,
      ...(warn && { warn }),
    });
  };
  return { safety: engineOf('safety'), helpfulness: engineOf('helpfulness') };
}

/**
 * SGLang without an adapter's name answers as the bare model, and nothing else tells.
 *
 * @throws Error if the file names none where the bundle says that the expert is one
 */
export function checkAdapterNames(file: EnginesFile, manifest: Pick<Manifest, 'experts'>): void {
  for (const role of ExpertRole.options) {
    const { engine, model } = file[role];
    if (engine !== 'sglang' || model !== null || !hasAdapter(manifest, role)) continue;
    throw new Error(
      `${role}.model: is missing, wanted the adapter's name: the bundle says that the ${role} expert is one`,
    );
  }
}

/** The most positions that a gate node asks for at a time: both experts have to give them. */
export function positionsOf(file: EnginesFile): number {
  const most = ({ engine, positions }: EnginesFile['safety']) => positions ?? POSITIONS[engine];
  return Math.min(most(file.safety), most(file.helpfulness));
}
