/** Reads the arguments of a call, by place or by name. */
import { Text } from './text.ts';
import { type Arguments, isTrue, numberOf, typeName, Undefined, type Value } from './values.ts';

export const NO_ARGUMENTS: Arguments = { positional: [], named: new Map() };

export function argument({ positional, named }: Arguments, place: number, name: string): Value | undefined {
  return positional[place] ?? named.get(name);
}

const isAbsent = (value: Value | undefined) => value === undefined || value === null || value instanceof Undefined;

export function textArgument(args: Arguments, place: number, name: string): Text | undefined {
  const value = argument(args, place, name);
  if (isAbsent(value)) return undefined;
  if (value instanceof Text) return value;
  throw new Error(`${name}: found a ${typeName(value!)}, wanted a string`);
}

export function neededText(args: Arguments, place: number, name: string): Text {
  const text = textArgument(args, place, name);
  if (!text) throw new Error(`${name} is missing`);
  return text;
}

export function numberArgument(args: Arguments, place: number, name: string): number | undefined {
  const value = argument(args, place, name);
  if (isAbsent(value)) return undefined;
  const number = numberOf(value!);
  if (number === undefined) throw new Error(`${name}: found a ${typeName(value!)}, wanted a number`);
  return number;
}

export function flagArgument(args: Arguments, place: number, name: string): boolean {
  const value = argument(args, place, name);
  return value !== undefined && isTrue(value);
}
