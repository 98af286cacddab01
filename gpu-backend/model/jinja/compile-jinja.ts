import { globals } from './globals.ts';
import { run } from './run.ts';
import { Scope } from './scope.ts';
import { literalsOf, parseTemplate } from './syntax.ts';
import { Text } from './text.ts';
import type { Value } from './values.ts';

export type JinjaTemplate = {
  /** Every piece of text that the template can write by itself. */
  literals: readonly string[];
  /** Throws if the template calls `raise_exception`, or does what no template can. */
  render: (variables: Readonly<Record<string, Value>>) => Text;
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
    render(variables) {
      const outer = new Scope();
      for (const [name, value] of [...globals(now), ...Object.entries(variables)]) outer.set(name, value);
      const out: Text[] = [];
      run(statements, new Scope(outer), out);
      return Text.join(out);
    },
  };
}
