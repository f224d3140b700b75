// Resolves "./solution" to ./solution.js, as bundlers do.
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, next) {
    try {
      return next(specifier, context);
    } catch (error) {
      if (error.code !== "ERR_MODULE_NOT_FOUND" || !/^\.{1,2}\//.test(specifier)) throw error;
      return next(`${specifier}.js`, context);
    }
  },
});
