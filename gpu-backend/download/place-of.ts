import path from 'node:path';

/** Turns a hub path into a path on this disk. Throws if it would leave the folder. */
export function placeOf(dir: string, file: string): string {
  const parts = file.split('/');
  const odd = parts.some((part) => part === '' || part === '.' || part === '..' || /[\\:]/.test(part));
  if (odd || file.includes('\0')) throw new Error(`${JSON.stringify(file)} is no path inside a folder`);
  return path.join(dir, ...parts);
}
