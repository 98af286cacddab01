import { BundleError } from './bundle-error.ts';
import { compileJinja, type JinjaTemplate } from './jinja/compile-jinja.ts';

/** Compiles the bundle's chat template. Throws a BundleError that names its file. */
export function openChatTemplate(source: string): JinjaTemplate {
  try {
    return compileJinja(source);
  } catch (cause) {
    throw new BundleError('chat_template.jinja', `not a Jinja template: ${String(cause)}`, { cause });
  }
}
