# The experiments of the mri-* suite, and what a developer needs. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
EXTRA ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)

comma := ,
# The experiment's settings; set any on the command line: make classify DATA=scans FOLDS=10
OUT ?= results/$(shell basename "$(DATA)" | tr -c 'A-Za-z0-9._\n-' _)
FOLDS ?=
SIZE ?= $(if $(WEIGHTS),160,128)
DENOISE ?= --method median
NORMALIZE ?= --grey --crop --method percentile --low 0.5 --high 99.5
BACKBONE ?=
WIDTH ?=
WEIGHTS ?=
TRAIN ?=
SEED ?= 0
READ ?=
BUDGET ?= 30m
SCHEME ?=
MAPS ?=
PREDICT ?=

##@ Use
.PHONY: help install demo classify segment
help: ## list the targets
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nSettings (now). classify: SIZE=%s DENOISE="%s" NORMALIZE="%s" FOLDS=%s\n' \
	  '$(SIZE)' '$(DENOISE)' '$(NORMALIZE)' '$(or $(FOLDS),5)'
	@printf 'segment: BUDGET=%s (training of one model; empty: --epochs of TRAIN) MAPS="%s" (options of mri-normalize)\n' '$(BUDGET)' '$(MAPS)'
	@echo '  FOLDS= (cross-validate; with TEST, average) SCHEME= PREDICT="more options of mri-predict"'
	@echo '  ($$* in PREDICT is fold0, fold1 …: "--probabilities maps/$$*" keeps their folders apart)'
	@printf 'both: SEED=%s BACKBONE= WIDTH= WEIGHTS=FILE TRAIN="more options of mri-train"\n' '$(SEED)'
	@echo '  READ="how every tool reads your images: --layout, --channels, --as, --fix-orientation"'

install: $(VENV)/installed ## make .venv with the suite and TensorFlow, for the GPU where there is one [PYTHON=python3.12] [EXTRA=cpu|gpu]

$(VENV)/installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "make: $$($(PYTHON) -V 2>&1) does not do; give one of 3.11 to 3.13: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "make: no venv in $(PYTHON); on Debian: apt install python3-venv" >&2; exit 2; }
	@echo "install: the suite and TensorFlow for the $(EXTRA) into $(VENV)/, some 2 GB, a few minutes the first time"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(EXTRA)]'
	@touch $@

demo: install ## the whole classification experiment on made-up heads, from images to a score and a picture
	@[ -f demo/phantoms/.made ] || { echo "phantoms: 300 made-up slices, with and without a tumour"; \
	  mri-phantom -n 300 --seed 1 --force -o demo/phantoms > /dev/null && touch demo/phantoms/.made; }
	@$(MAKE) --no-print-directory classify DATA=demo/phantoms OUT=demo/result FOLDS=3 SIZE=96 \
	  TRAIN="--epochs 45 --learning-rate 0.002" DENOISE="$(DENOISE)" NORMALIZE="$(NORMALIZE)"

ifneq ($(DATA),)
ifneq ($(words $(OUT)),1)
$(error OUT may not hold spaces: $(OUT))
endif
COUNT := $(or $(FOLDS),5)
FOLD_IDS := $(shell seq 0 $$(( $(COUNT) - 1 )))
FOLD_TABLES := $(FOLD_IDS:%=$(OUT)/fold%.csv)
# looked at first: a wrong name is told before hours of training
TEST_FILES := $(if $(TEST),$(OUT)/test-files.txt)
NETWORK := $(if $(BACKBONE),--backbone $(BACKBONE)) $(if $(WIDTH),--width $(WIDTH)) $(if $(WEIGHTS),--weights "$(WEIGHTS)")
# an experiment's settings and its images stand in small files, which change only when these do
accuracy = awk -F, -v more="$(2)" '$$1 == "accuracy" && $$8 == "all" { \
  printf "accuracy %.1f %% (%d %% interval %.1f to %.1f, %d images, %s)\n", $$3, $$9, $$4, $$5, $$7, more }' $(1)
mend = { code=$$?; echo "make: see the lines above; mend or move what is named there, then run make again" >&2; exit $$code; }
# a list is whole or not there, also after make itself was killed
whole = > $@.new || $(mend); mv $@.new $@
# what a tool wrote before its settings changed goes; what an interrupted run of these very settings wrote stays
anew = for name in $(2); do [ $(1)/recipe.json -nt $$name ] || rm -rf $(1); done
# begun anew, --probabilities of PREDICT are replaced, too
forced = $$([ -d $(1) ] || echo --force)
keep = { mkdir -p $(@D); cat > $@.new; if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi; }

classify: $(TEST_FILES) $(OUT)/scores.csv $(OUT)/predictions.png $(if $(TEST),$(OUT)/test-scores.csv) ## DATA=folder [OUT=folder] [TEST=folder]: cross-validate on one's own images
	@cat $(FOLD_TABLES) | mri-score --reference "$(DATA)" $(READ) --split $(OUT)/split.csv
	@echo "picture: $(OUT)/predictions.png   table: $(OUT)/scores.csv   models: $(OUT)/fold*.h5"
	@$(if $(TEST),$(call accuracy,$(OUT)/test-scores.csv,of TEST by the average of $(COUNT) models))
	@$(call accuracy,$(OUT)/scores.csv,$(COUNT) duplicate-safe folds)

.PHONY: FORCE
$(OUT)/files.txt: FORCE | install
	@[ -d "$(DATA)" ] || { echo "make: DATA=$(DATA) is no folder" >&2; exit 2; }
	@find -L "$$(cd "$(DATA)" && pwd -P)" -type f -exec cksum {} + | LC_ALL=C sort | $(keep)

$(OUT)/test-files.txt: FORCE
	@[ -d "$(TEST)" ] || { echo "make: TEST=$(TEST) is no folder" >&2; exit 2; }
	@find -L "$$(cd "$(TEST)" && pwd -P)" -type f -exec cksum {} + | LC_ALL=C sort | $(keep)

$(OUT)/settings.txt: FORCE
	@printf '%s\n' '$(DENOISE)' '$(NORMALIZE)' '--size $(SIZE)' $(if $(READ),'$(READ)') | $(keep)

$(OUT)/training.txt: FORCE
	@printf '%s\n' '$(COUNT)' '$(SEED)' '$(NETWORK)' '$(TRAIN)' $(if $(READ),'$(READ)') | $(keep)

$(OUT)/split.csv: $(OUT)/files.txt $(OUT)/training.txt
	@echo "split: $(COUNT) folds that part no subject and no near-duplicates"
	@mri-split "$(DATA)" $(READ) --folds $(COUNT) --seed $(SEED) $(whole)

$(OUT)/normalized.txt: $(OUT)/files.txt $(OUT)/settings.txt
	@echo "prepare: mri-denoise $(DENOISE) | mri-normalize $(NORMALIZE) --size $(SIZE)"
	@$(call anew,$(OUT)/denoised,$(OUT)/settings.txt)
	@$(call anew,$(OUT)/normalized,$(OUT)/settings.txt)
	@mri-denoise "$(DATA)" $(READ) $(DENOISE) -o $(OUT)/denoised | \
	  mri-normalize $(NORMALIZE) --size $(SIZE) -o $(OUT)/normalized $(whole)

$(OUT)/fold%.h5: $(OUT)/split.csv $(OUT)/normalized.txt $(OUT)/training.txt
	@echo "train: fold $* of $(COUNT)"
	@for name in $^; do [ $@.checkpoint -nt $$name ] || rm -f $@.checkpoint; done  # of an interrupted run: go on
	@mri-train --seed $(SEED) $(NETWORK) $(TRAIN) --split $(OUT)/split.csv --fold $* --resume --force -o $@ \
	  < $(OUT)/normalized.txt > /dev/null

$(OUT)/fold%.csv: $(OUT)/fold%.h5
	@echo "predict: fold $* of $(COUNT), by the model that never saw it"
	@mri-predict --model $< --split $(OUT)/split.csv --fold $* < $(OUT)/normalized.txt $(whole)

.PRECIOUS: $(OUT)/fold%.h5
$(OUT)/scores.csv: $(FOLD_TABLES)
	@cat $^ | mri-score --reference "$(DATA)" $(READ) --split $(OUT)/split.csv $(whole)

$(OUT)/predictions.png: $(FOLD_TABLES)
	@cat $^ | mri-view --cases "$(DATA)" $(READ) -o $@ > /dev/null

$(OUT)/test.csv: $(FOLD_TABLES) $(OUT)/test-files.txt
	@echo "predict: $(TEST), by the average of the $(COUNT) models"
	@mri-predict "$(TEST)" $(READ) $(FOLD_IDS:%=--model $(OUT)/fold%.h5) $(whole)

$(OUT)/test-scores.csv: $(OUT)/test.csv
	@mri-score $< --reference "$(TEST)" $(READ) $(whole)
else
classify:
	@echo 'make: which images? make classify DATA=folder (with a folder for each class, or a cases.csv)' >&2; exit 2
endif

# Label maps: one model, on all of DATA when TEST is given, else on all but a fifth of its subjects; or FOLDS of them
ifeq ($(DATA),)
segment: install ## DATA=folder [TEST=folder] [OUT=folder] [BUDGET=30m] [FOLDS=5]: label maps, on one's own volumes (else made-up heads)
	@[ -f demo/volumes/.made ] || { echo "phantoms: 30 made-up heads with tumours and their label maps"; \
	  mri-phantom --kind volumes -n 30 --seed 1 --force -o demo/volumes > /dev/null && touch demo/volumes/.made; }
	@$(MAKE) --no-print-directory segment DATA=demo/volumes OUT=demo/maps BUDGET="$(if $(filter file,$(origin BUDGET)),5m,$(BUDGET))" \
	  SCHEME=brats2023 TRAIN="$(TRAIN)"
else
.PHONY: segment
MAP_RUNS := $(if $(FOLDS),$(FOLD_IDS:%=fold%),model)
MAP_MODELS := $(MAP_RUNS:%=$(OUT)/%-maps.h5)
MAP_SCHEME := $(if $(SCHEME),--scheme "$(SCHEME)")
segment: $(OUT)/map-$(if $(TEST),test-)scores.csv
	@echo "table: $<   models: $(MAP_MODELS)   label maps: $(OUT)/predictions"
	@awk -F, '$$1 == "dice" && $$8 == "all" { \
	  between = $$4 == "" ? "no interval" : sprintf("%d %% interval %.3f to %.3f", $$9, $$4, $$5); \
	  printf "Dice %s %.3f (%s, %d cases)\n", $$2, $$3, between, $$7 }' $<

$(OUT)/maps.txt: FORCE
	@printf '%s\n' 'mri-normalize' '$(MAPS)' $(if $(READ),'$(READ)') | $(keep)

$(OUT)/map-training.txt: FORCE
	@printf '%s\n' '$(FOLDS)' '$(SEED)' '$(NETWORK)' '$(TRAIN)' '$(BUDGET)' '$(SCHEME)' \
	  '$(if $(FOLDS),,$(if $(TEST),all))' $(if $(READ),'$(READ)') | $(keep)

$(OUT)/map-predicting.txt: FORCE
	@printf '%s\n' '$(PREDICT)' | $(keep)

$(OUT)/map-split.csv: $(OUT)/files.txt $(OUT)/map-training.txt
	@mri-split "$(DATA)" $(READ) $(if $(FOLDS),--folds $(FOLDS),--test $(if $(TEST),0,0.2) --validation 0) --seed $(SEED) $(whole)

$(OUT)/map-normalized.txt: $(OUT)/files.txt $(OUT)/maps.txt
	@echo "prepare: mri-normalize $(MAPS)"
	@$(call anew,$(OUT)/map-normalized,$(OUT)/maps.txt)
	@mri-normalize "$(DATA)" $(READ) $(MAPS) -o $(OUT)/map-normalized $(whole)

# a case that cannot be trained on was named and left out (exit 1): the model of the others, if it is new, counts
$(OUT)/%-maps.h5: $(OUT)/map-split.csv $(OUT)/map-normalized.txt $(OUT)/map-training.txt
	@echo "train: $*$(if $(BUDGET),$(comma) $(BUDGET))"
	@for name in $^; do [ $@.checkpoint -nt $$name ] || rm -f $@.checkpoint; done  # of an interrupted run: go on
	@mri-train --task segment $(MAP_SCHEME) --seed $(SEED) $(NETWORK) $(if $(BUDGET),--budget $(BUDGET)) $(TRAIN) \
	  --split $(OUT)/map-split.csv $(if $(FOLDS),--fold $(*:fold%=%)) --cache $(OUT)/cache --resume --force -o $@ \
	  < $(OUT)/map-normalized.txt > /dev/null || { [ $$? = 1 ] && [ -f $@ ] && [ -z "$$(find $^ -newer $@)" ]; } || $(mend)

.PRECIOUS: $(OUT)/%-maps.h5
$(OUT)/%-maps.txt: $(OUT)/%-maps.h5 $(OUT)/map-predicting.txt
	@echo "predict: the part held out of $*"
	@$(call anew,$(OUT)/predictions/$*,$^)
	@mri-predict --model $< --split $(OUT)/map-split.csv $(if $(FOLDS),--fold $(*:fold%=%)) < $(OUT)/map-normalized.txt \
	  $(PREDICT) $(call forced,$(OUT)/predictions/$*) -o $(OUT)/predictions/$* $(whole)

$(OUT)/test-maps.txt: $(TEST_FILES) $(MAP_MODELS) $(OUT)/map-predicting.txt
	@echo "predict: $(TEST), by $(if $(FOLDS),the average of the $(COUNT) models,the model)"
	@$(call anew,$(OUT)/predictions/test,$^)
	@mri-predict "$(TEST)" $(READ) $(MAP_MODELS:%=--model %) $(PREDICT) $(call forced,$(OUT)/predictions/test) \
	  -o $(OUT)/predictions/test $(whole)

$(OUT)/map-scores.csv: $(MAP_RUNS:%=$(OUT)/%-maps.txt)
	@cat $^ | mri-score --reference "$(DATA)" $(READ) $(MAP_SCHEME) --split $(OUT)/map-split.csv $(if $(FOLDS),,--part test) $(whole)

$(OUT)/map-test-scores.csv: $(OUT)/test-maps.txt
	@mri-score --reference "$(TEST)" $(READ) $(MAP_SCHEME) < $< $(whole)
endif

##@ Develop
.PHONY: test lint bench docs clean
$(VENV)/tested: $(VENV)/installed
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(EXTRA),test]'
	@touch $@

test: $(VENV)/tested ## the whole test suite
	@PYTHONUTF8=1 pytest -n auto

lint: $(VENV)/tested ## style, and the types of the public functions
	@ruff check .
	@mypy --no-error-summary

bench: $(VENV)/tested ## measure every part, beside its peers where these are installed in PEERS=other/bin/python
	@for part in bench bench_prepare bench_histograms bench_augment bench_train bench_predict bench_score; do \
	  echo "== $$part"; PEERS='$(PEERS)' python tests/$$part.py; done

docs: $(VENV)/tested ## write docs/commands.md from the tools' own --help
	@{ printf '# Commands\n\nWhat each tool says with `--help`; written by `make docs`, checked by `make test`.\n'; \
	  for tool in $$(sed -n 's/^ *\(mri-[a-z]*\) = .*/\1/p' setup.cfg); do \
	    printf '\n## %s\n\n```\n$$ %s --help\n' $$tool $$tool; COLUMNS=80 $$tool --help; printf '```\n'; done; } > docs/commands.md

clean: ## remove the demo's files and the caches
	rm -rf demo .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
