/**
 * The clients that are tried, and how: each is a program in `sdks`, run in a process of its own. A
 * client that cannot be had here is left out with a reason.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import { installOwnPackages } from '../own-packages.ts';
import type { RunningStack } from '../running-stack.ts';

const FOLDER = path.join(import.meta.dirname, 'sdks');
/** Where `.ci/run` installs Python's packages. */
const PYTHON_PACKAGES = path.join(import.meta.dirname, '../../.plimsoll/python');
const KEY = 'pk-demo-balanced';

export type Client = { name: string; program: string; package: string };

/** In the order of the table in docs/clients.md. */
export const CLIENTS: readonly Client[] = [
  { name: 'OpenAI for JavaScript', program: 'openai-node.mjs', package: 'openai' },
  { name: 'Vercel AI SDK', program: 'ai-sdk.mjs', package: '@ai-sdk/openai-compatible' },
  { name: 'Vercel AI SDK', program: 'ai-sdk-openai.mjs', package: '@ai-sdk/openai' },
  { name: 'LangChain.js', program: 'langchain.mjs', package: '@langchain/openai' },
  { name: 'OpenAI for Python', program: 'openai_python.py', package: 'openai' },
  { name: 'OpenAI Agents SDK', program: 'openai_agents.py', package: 'openai-agents' },
  { name: 'LangChain', program: 'langchain_python.py', package: 'langchain-openai' },
  { name: 'LiteLLM', program: 'litellm_python.py', package: 'litellm' },
  { name: 'Pydantic AI', program: 'pydantic_ai_python.py', package: 'pydantic-ai-slim' },
  { name: 'llm', program: 'llm_python.py', package: 'llm' },
];

const Checked = z.strictObject({ what: z.string(), failed: z.string().optional() });
export type Checked = z.infer<typeof Checked>;

const isPython = ({ program }: Client) => program.endsWith('.py');
const run = promisify(execFile);

/** The version that is pinned, in package.json or for pip. */
export async function pinnedVersion(client: Client): Promise<string> {
  const files = isPython(client) ? ['requirements.txt', 'requirements-large.txt'] : ['package.json'];
  const text = (await Promise.all(files.map((file) => readFile(path.join(FOLDER, file), 'utf8')))).join('\n');
  const found = isPython(client)
    ? new RegExp(`^${client.package}(?:\\[.*\\])?==(\\S+)$`, 'm').exec(text)?.[1]
    : (JSON.parse(text) as { dependencies: Record<string, string> }).dependencies[client.package];
  if (found === undefined) throw new Error(`${files.join(' and ')} in ${FOLDER} do not pin ${client.package}`);
  return found;
}

/** Why this client cannot be tried here, in the version that is pinned; undefined if it can. */
export async function whyMissing(client: Client): Promise<string | undefined> {
  if (!isPython(client)) return installOwnPackages(FOLDER);
  const wanted = await pinnedVersion(client);
  const program = `import importlib.metadata as m; print(m.version("${client.package}"))`;
  const found = await run('python3', ['-c', program], { env: pythonEnv() }).catch(() => null);
  if (found === null) return `Python has no ${client.package} ${wanted}`;
  return found.stdout.trim() === wanted
    ? undefined
    : `Python has ${client.package} ${found.stdout.trim()}, not ${wanted}`;
}

/** Runs a client's program against a stack. Throws if it does not come to its end. */
export async function runClient(client: Client, { url, model }: RunningStack): Promise<Checked[]> {
  const env = {
    ...pythonEnv(),
    PLIMSOLL_URL: url,
    PLIMSOLL_KEY: KEY,
    PLIMSOLL_MODEL: model,
    // No client tells its makers that it was tried.
    DO_NOT_TRACK: '1',
    LANGSMITH_TRACING: 'false',
  };
  const command = isPython(client) ? 'python3' : process.execPath;
  const { stdout } = await run(command, [path.join(FOLDER, client.program)], { env });
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => Checked.parse(JSON.parse(line)));
}

function pythonEnv(): NodeJS.ProcessEnv {
  const { PYTHONPATH } = process.env;
  return { ...process.env, PYTHONPATH: [PYTHON_PACKAGES, PYTHONPATH].filter(Boolean).join(path.delimiter) };
}
