import { Undefined, type Value } from './values.ts';

/** Names and their values. A name that is not here is looked up outside. */
export class Scope {
  readonly #outer: Scope | undefined;
  readonly #names = new Map<string, Value>();

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  get(name: string): Value {
    const value = this.#names.get(name);
    if (value !== undefined) return value;
    return this.#outer ? this.#outer.get(name) : new Undefined(name);
  }

  set(name: string, value: Value): void {
    this.#names.set(name, value);
  }
}
