import { type Command, Help, Option } from 'commander';

/**
 * Makes the help of a command and its subcommands say which options are required, and leave out
 * defaults that tell nothing: a flag that is off, an empty list.
 */
export function plainHelp(command: Command): Command {
  command.configureHelp({ optionDescription });
  for (const each of command.commands) plainHelp(each);
  return command;
}

const HELP = new Help();

function optionDescription(option: Option): string {
  const nothing =
    option.defaultValue === false || (Array.isArray(option.defaultValue) && option.defaultValue.length === 0);
  const shown = new Option(option.flags, `${option.description}${option.mandatory ? ' (required)' : ''}`);
  Object.assign(shown, { ...option, description: shown.description }, nothing && { defaultValue: undefined });
  return HELP.optionDescription(shown);
}
