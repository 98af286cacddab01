import { globals } from './globals.ts';
import { run } from './run.ts';
import { Scope } from './scope.ts';
import { literalsOf, parseTemplate } from './syntax.ts';
import { Text } from './text.ts';
import type { Value } from './values.ts';
import { withWork } from './work.ts';

export type JinjaTemplate = {
  /** Every piece of text that the template can write by itself. */
  literals: readonly string[];
  /**
   * Throws if the template calls `raise_exception`, does what no template can, or does more than
   * `work.ts` allows for variables of `given` characters.
   */
  render: (variables: Readonly<Record<string, Value>>, options?: { given?: number }) => Text;
};

/**
 * Compiles a chat template as Transformers does.
 *
 *     const { render } = compileJinja('<|user|>{{ content | trim }}');
 *     render({ content: Text.given(' <|user|> ') }).string; // '<|user|><|user|>'
 *
 * The first `<|user|>` is one stretch that the template wrote, the second one that it was given.
 */
export function compileJinja(source: string, { now = () => new Date() }: { now?: () => Date } = {}): JinjaTemplate {
  const statements = parseTemplate(source);
  return {
    literals: literalsOf(statements),
    render(variables, { given = 0 } = {}) {
      const outer = new Scope();
      for (const [name, value] of [...globals(now), ...Object.entries(variables)]) outer.set(name, value);
      return withWork(given, () => {
        const out: Text[] = [];
        try {
          run(statements, new Scope(outer), out);
        } catch (cause) {
          // The end of JavaScript's stack.
          if (cause instanceof RangeError)
            throw new Error('the template does too much: it nests too deeply', { cause });
          throw cause;
        }
        return Text.join(out);
      });
    },
  };
}
