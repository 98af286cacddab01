/** Parsers for numbers on the command line. They reject anything else and say why. */
import { InvalidArgumentError } from 'commander';

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('not a number');
  return value;
}

export function integer(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError('not a whole number');
  return value;
}

export function positiveInteger(text: string): number {
  const value = integer(text);
  if (value < 1) throw new InvalidArgumentError('not a whole number above 0');
  return value;
}

/** A number in [0, 1]. */
export function share(text: string): number {
  const value = number(text);
  if (value < 0 || value > 1) throw new InvalidArgumentError('a share lies between 0 and 1');
  return value;
}
