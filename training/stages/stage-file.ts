/**
 * The small file next to a stage's checkpoints that says what was trained. Stages that build on the
 * run read it.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/**
 * If the file is missing or is not what the stage writes, throws an error that names the file. For
 * a missing file the error also names the stage.
 */
export async function readStageFile<T>(
  dir: string,
  name: string,
  { schema, stage }: { schema: z.ZodType<T>; stage: string },
): Promise<T> {
  const file = path.join(dir, name);
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${dir} holds no run of the stage ${stage}: ${name} cannot be read`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${file}: not JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  return parsed.data;
}
