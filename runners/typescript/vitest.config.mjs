export default {
  cacheDir: ".run/vite",
  test: {
    include: ["**/*.test.js"],
    reporters: ["default", "junit"],
    // One thread for all files: there is one core, and starting workers is most of the time.
    pool: "threads",
    isolate: false,
    fileParallelism: false,
  },
};
