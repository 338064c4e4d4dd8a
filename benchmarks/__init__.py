"""Speed and memory of miso-gen, as ratios against peers. See README.md; ``python -m benchmarks.run`` runs everything."""
