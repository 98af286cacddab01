/**
 * The clients that are tried, and how: each has programs in `sdks`, run in processes of their own.
 * A client that cannot be had here is left out with a reason.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import { installOwnPackages } from '../own-packages.ts';
import type { RunningStack } from '../running-stack.ts';

const FOLDER = path.join(import.meta.dirname, 'sdks');
const KEY = 'pk-demo-balanced';

/** A list of packages for pip, and where `.ci/run` installs them. Not all packages go together. */
type PythonPackages = { list: string; folder: string };
const pythonPackages = (suffix: '' | '-instructor' | '-large'): PythonPackages => ({
  list: path.join(FOLDER, `requirements${suffix}.txt`),
  folder: path.join(import.meta.dirname, `../../.plimsoll/python${suffix}`),
});
const PYTHON = pythonPackages('');

export type Client = {
  name: string;
  package: string;
  /** In the order of what the table says was tried. */
  programs: readonly [string, ...string[]];
  /** null: a client for JavaScript. */
  python: PythonPackages | null;
};

/** In the order of the table in docs/clients.md. */
export const CLIENTS: readonly Client[] = [
  {
    name: 'OpenAI for JavaScript',
    package: 'openai',
    programs: ['openai-node.mjs', 'openai-node-structured.mjs', 'openai-node-tools.mjs', 'openai-node-responses.mjs'],
    python: null,
  },
  { name: 'OpenAI Agents SDK', package: '@openai/agents', programs: ['openai-agents.mjs'], python: null },
  { name: 'Vercel AI SDK', package: '@ai-sdk/openai-compatible', programs: ['ai-sdk.mjs'], python: null },
  { name: 'Vercel AI SDK', package: '@ai-sdk/openai', programs: ['ai-sdk-openai.mjs'], python: null },
  { name: 'LangChain.js', package: '@langchain/openai', programs: ['langchain.mjs'], python: null },
  {
    name: 'OpenAI for Python',
    package: 'openai',
    programs: [
      'openai_python.py',
      'openai_python_structured.py',
      'openai_python_tools.py',
      'openai_python_responses.py',
    ],
    python: PYTHON,
  },
  { name: 'OpenAI Agents SDK for Python', package: 'openai-agents', programs: ['openai_agents.py'], python: PYTHON },
  { name: 'LangChain', package: 'langchain-openai', programs: ['langchain_python.py'], python: PYTHON },
  {
    name: 'Instructor',
    package: 'instructor',
    programs: ['instructor_python.py'],
    python: pythonPackages('-instructor'),
  },
  { name: 'LiteLLM', package: 'litellm', programs: ['litellm_python.py'], python: pythonPackages('-large') },
  { name: 'Pydantic AI', package: 'pydantic-ai-slim', programs: ['pydantic_ai_python.py'], python: PYTHON },
  { name: 'llm', package: 'llm', programs: ['llm_python.py'], python: PYTHON },
];

const Checked = z.strictObject({ what: z.string(), failed: z.string().optional() });
export type Checked = z.infer<typeof Checked>;

const run = promisify(execFile);

/** The version that is pinned, in package.json or for pip. */
export async function pinnedVersion(client: Client): Promise<string> {
  const file = client.python?.list ?? path.join(FOLDER, 'package.json');
  const text = await readFile(file, 'utf8');
  const found =
    client.python === null
      ? (JSON.parse(text) as { dependencies: Record<string, string> }).dependencies[client.package]
      : new RegExp(`^${client.package}(?:\\[.*\\])?==(\\S+)$`, 'm').exec(text)?.[1];
  if (found === undefined) throw new Error(`${file} does not pin ${client.package}`);
  return found;
}

/** Why this client cannot be tried here, in the version that is pinned; undefined if it can. */
export async function whyMissing(client: Client): Promise<string | undefined> {
  if (client.python === null) return installOwnPackages(FOLDER);
  const wanted = await pinnedVersion(client);
  const program = `import importlib.metadata as m; print(m.version("${client.package}"))`;
  const found = await run('python3', ['-c', program], { env: envOf(client) }).catch(() => null);
  if (found === null) return `Python has no ${client.package} ${wanted}`;
  return found.stdout.trim() === wanted
    ? undefined
    : `Python has ${client.package} ${found.stdout.trim()}, not ${wanted}`;
}

/** Runs a client's programs against a stack. Throws if one does not come to its end. */
export async function runClient(client: Client, { url, model }: RunningStack): Promise<Checked[]> {
  const env = {
    ...envOf(client),
    PLIMSOLL_URL: url,
    PLIMSOLL_KEY: KEY,
    PLIMSOLL_MODEL: model,
    // No client tells its makers that it was tried.
    DO_NOT_TRACK: '1',
    LANGSMITH_TRACING: 'false',
    LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  };
  const command = client.python === null ? process.execPath : 'python3';
  const checked: Checked[] = [];
  for (const program of client.programs) {
    const { stdout } = await run(command, [path.join(FOLDER, program)], { env });
    const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
    if (lines.length === 0) throw new Error(`${program} tried nothing`);
    checked.push(...lines.map((line) => Checked.parse(JSON.parse(line))));
  }
  return checked;
}

function envOf({ python }: Client): NodeJS.ProcessEnv {
  const { PYTHONPATH } = process.env;
  return { ...process.env, PYTHONPATH: [python?.folder, PYTHONPATH].filter(Boolean).join(path.delimiter) };
}
