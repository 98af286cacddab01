/** `plimsoll model`: bundles, the folders that hold a model and its experts. */
import { Command } from 'commander';
import { check } from './model/check.ts';
import { gguf } from './model/gguf.ts';
import { importCommand } from './model/import.ts';
import { pull } from './model/pull.ts';
import { remote } from './model/remote.ts';

export function modelCommand(): Command {
  const model = new Command('model').description('work with bundles: folders that hold a model and its experts');
  for (const make of [importCommand, pull, remote, gguf, check]) model.addCommand(make());
  return model;
}
