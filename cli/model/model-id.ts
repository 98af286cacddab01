/** The ids under which clients ask for a model. */
import path from 'node:path';
import { InvalidArgumentError } from 'commander';

/** For commander: the id itself, or what is wrong with it. */
export function modelId(text: string): string {
  if (!ID.test(text))
    throw new InvalidArgumentError('an id has letters, digits and . _ - /, and begins with a letter or digit');
  return text;
}
const ID = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;

/** The name of the bundle's folder, as an id. Throws an Error if it cannot be one. */
export function idOf(out: string): string {
  const name = path.basename(path.resolve(out));
  if (!ID.test(name))
    throw new Error(`--id: ${JSON.stringify(name)} is not a model id; give one, such as --id my-model`);
  return name;
}
