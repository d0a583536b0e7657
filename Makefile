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
.PHONY: help install demo classify segment localise
# classify: ## DATA=folder [OUT=folder] [TEST=folder] [FOLDS=5]: train and score on one's own images, by their classes
# segment: ## DATA=folder [TEST=folder] [OUT=folder] [BUDGET=30m] [FOLDS=5]: label maps, on one's own volumes (else made-up heads)
# localise: ## DATA=folder [TEST=folder] [OUT=folder] [BUDGET=20m] [FOLDS=5]: bounding boxes, on one's own images (else made-up heads)
help: ## list the targets
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^(# )?[a-z-]+:.*## / { sub(/^# /, ""); printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nSettings (now). classify: SIZE=%s DENOISE="%s" NORMALIZE="%s" FOLDS=%s\n' \
	  '$(SIZE)' '$(DENOISE)' '$(NORMALIZE)' '$(or $(FOLDS),5)'
	@printf 'segment: BUDGET=%s (training of one model; empty: --epochs of TRAIN) MAPS="%s" (options of mri-normalize)\n' '$(BUDGET)' '$(MAPS)'
	@echo '  FOLDS= (cross-validate; with TEST, average) SCHEME= PREDICT="more options of mri-predict"'
	@echo '  ($$* in PREDICT is fold0, fold1 …: "--probabilities maps/$$*" keeps their folders apart)'
	@printf 'localise: BUDGET=%s SIZE=%s NORMALIZE\n' '$(box_budget)' '$(box_size)'
	@printf 'all: SEED=%s BACKBONE= WIDTH= WEIGHTS=FILE TRAIN="more options of mri-train"\n' '$(SEED)'
	@echo '  READ="how every tool reads your images: --layout, --channels, --as, --fix-orientation"'

# what localise takes where BUDGET and SIZE are not set
box_budget = $(if $(filter file,$(origin BUDGET)),20m,$(BUDGET))
box_size = $(if $(filter file,$(origin SIZE)),256,$(SIZE))

install: $(VENV)/installed ## make .venv with the suite and TensorFlow, for the GPU where there is one [PYTHON=python3.12] [EXTRA=cpu|gpu]

$(VENV)/installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "make: $$($(PYTHON) -V 2>&1) does not do; give one of 3.11 to 3.13: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "make: no venv in $(PYTHON); on Debian: apt install python3-venv" >&2; exit 2; }
	@echo "install: the suite and TensorFlow for the $(EXTRA) into $(VENV)/, some 2 GB, a few minutes the first time"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(EXTRA),tune]'
	@touch $@

demo: install ## the whole classification experiment on made-up heads, from images to a score and a picture
	@[ -f demo/phantoms/.made ] || { echo "phantoms: 300 made-up slices, with and without a tumour"; \
	  mri-phantom -n 300 --seed 1 --force -o demo/phantoms > /dev/null && touch demo/phantoms/.made; }
	@$(MAKE) --no-print-directory classify DATA=demo/phantoms OUT=demo/result FOLDS=3 SIZE=96 \
	  TRAIN="--epochs 45 --learning-rate 0.002" DENOISE="$(DENOISE)" NORMALIZE="$(NORMALIZE)"

ifeq ($(DATA),)
classify:
	@echo 'make: which images? make classify DATA=folder (with a folder for each class, or a cases.csv)' >&2; exit 2

segment: install
	@[ -f demo/volumes/.made ] || { echo "phantoms: 30 made-up heads with tumours and their label maps"; \
	  mri-phantom --kind volumes -n 30 --seed 1 --force -o demo/volumes > /dev/null && touch demo/volumes/.made; }
	@$(MAKE) --no-print-directory segment DATA=demo/volumes OUT=demo/maps BUDGET="$(if $(filter file,$(origin BUDGET)),5m,$(BUDGET))" \
	  SCHEME=brats2023 TRAIN="$(TRAIN)"

localise: install
	@[ -f demo/boxes/.made ] || { echo "phantoms: 2500 made-up slices, half of them with a tumour and its box"; \
	  mri-phantom --kind boxes -n 2500 --seed 1 --force -o demo/boxes > /dev/null && touch demo/boxes/.made; }
	@$(MAKE) --no-print-directory localise DATA=demo/boxes OUT=demo/found \
	  BUDGET="$(if $(filter file,$(origin BUDGET)),5m,$(BUDGET))" SIZE="$(if $(filter file,$(origin SIZE)),128,$(SIZE))" \
	  TRAIN="$(TRAIN)"
else
ifneq ($(words $(OUT)),1)
$(error OUT may not hold spaces: $(OUT))
endif
# What differs between the tasks. prefix, suffix: of the names of files in OUT. table: what mri-predict leaves, a table
# of classes or the names of label maps. split: without FOLDS, folds unless DATA states a split, or one held-out part.
TASKS := classify segment localise
prefix_segment := map-
prefix_localise := box-
suffix_segment := -maps
suffix_localise := -boxes
table_classify := csv
table_segment := txt
table_localise := csv
split_classify := --folds 5 --given keep --validation 0
split_segment := --test $(if $(TEST),0,0.2) --validation 0
split_localise := $(split_segment)
runs_classify := fold0 fold1 fold2 fold3 fold4
runs_segment := model
runs_localise := model
prepare_classify = mri-denoise "$(DATA)" $(READ) $(DENOISE) -o $(OUT)/denoised | \
  mri-normalize $(NORMALIZE) --size $(SIZE) -o $(OUT)/normalized
prepare_segment = mri-normalize "$(DATA)" $(READ) $(MAPS) -o $(OUT)/map-normalized
prepare_localise = mri-normalize "$(DATA)" $(READ) $(NORMALIZE) --size $(box_size) -o $(OUT)/box-normalized
said_classify = mri-denoise $(DENOISE) | mri-normalize $(NORMALIZE) --size $(SIZE)
said_segment = mri-normalize $(MAPS)
said_localise = mri-normalize $(NORMALIZE) --size $(box_size)
settings_classify = '$(DENOISE)' '$(NORMALIZE)' '--size $(SIZE)'
settings_segment = 'mri-normalize' '$(MAPS)'
settings_localise = 'mri-normalize' '$(NORMALIZE)' '--size $(box_size)'
folders_classify := denoised normalized
folders_segment := map-normalized
folders_localise := box-normalized
train_segment = $(scheme) $(if $(BUDGET),--budget $(BUDGET)) --cache $(OUT)/cache
train_localise = $(if $(box_budget),--budget $(box_budget))
scheme = $(if $(SCHEME),--scheme "$(SCHEME)")
scheme_segment = $(scheme)
# the time of a training, for the line that announces it
time_segment = $(BUDGET)
time_localise = $(box_budget)
# label maps go into a folder, which begins anew when the model or PREDICT changed; a table goes to standard output
predictions_segment = $(OUT)/predictions/$(1)

FOLD_IDS := $(if $(FOLDS),$(shell seq 0 $$(( $(FOLDS) - 1 ))))
divide = $(if $(FOLDS),--folds $(FOLDS),$(split_$(1)))
runs = $(or $(RUNS),$(FOLD_IDS:%=fold%),$(runs_$(1)))
averaged = by the $(if $(word 2,$(call runs,$(1))),average of the $(words $(call runs,$(1))) models,model)
NETWORK := $(if $(BACKBONE),--backbone $(BACKBONE)) $(if $(WIDTH),--width $(WIDTH)) $(if $(WEIGHTS),--weights "$(WEIGHTS)")
# looked at first: a wrong name is told before hours of training
TEST_FILES := $(if $(TEST),$(OUT)/test-files.txt)
# an experiment's settings and its images stand in small files, which change only when these do
keep = { mkdir -p $(@D); cat > $@.new; if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi; }
mend = { code=$$?; echo "make: see the lines above; mend or move what is named there, then run make again" >&2; exit $$code; }
# a list is whole or not there, also after make itself was killed
whole = > $@.new || $(mend); mv $@.new $@
# what a tool wrote before its settings changed goes; what an interrupted run of these very settings wrote stays
anew = for name in $(2); do [ $(1)/recipe.json -nt $$name ] || rm -rf $(1); done
# begun anew, --probabilities of PREDICT are replaced, too
forced = $$([ -d $(1) ] || echo --force)
fold = $(if $(filter fold%,$(1)),--fold $(1:fold%=%))
said = $(if $(filter fold%,$(2)),$(2:fold%=fold %) of $(words $($(1)_runs)),$(3))
# the runs of a split: its folds, or one model
runs_of = $$(awk -F, 'NR > 1 { if ($$(NF - 1) ~ /^[0-9]+$$/) fold[$$(NF - 1)]; else one = 1 } \
  END { for (n = 0; n in fold; n++) printf "fold%d ", n; if (one) print "model" }' $(1) 2> /dev/null || true)
accuracy = awk -F, -v more="$(2)" '$$1 == "accuracy" && $$8 == "all" { \
  printf "accuracy %.1f %% (%d %% interval %.1f to %.1f, %d images, %s)\n", $$3, $$9, $$4, $$5, $$7, more }' $(1)

# first the split, which says how many models there are; then the rest
$(TASKS): $(if $(INNER),,install)
	@$(MAKE) --no-print-directory INNER=split $(TEST_FILES) $(OUT)/$(prefix_$@)split.csv
	@$(MAKE) --no-print-directory INNER=rest RUNS="$(call runs_of,$(OUT)/$(prefix_$@)split.csv)" $@-results

.PHONY: FORCE $(TASKS:%=%-results)
UNLESS_LISTED := $(if $(filter rest,$(INNER)),,FORCE)
$(OUT)/files.txt: $(UNLESS_LISTED) | $(if $(INNER),,install)
	@[ -d "$(DATA)" ] || { echo "make: DATA=$(DATA) is no folder" >&2; exit 2; }
	@find -L "$$(cd "$(DATA)" && pwd -P)" -type f -exec cksum {} + | LC_ALL=C sort | $(keep)

$(OUT)/test-files.txt: $(UNLESS_LISTED)
	@[ -d "$(TEST)" ] || { echo "make: TEST=$(TEST) is no folder" >&2; exit 2; }
	@find -L "$$(cd "$(TEST)" && pwd -P)" -type f -exec cksum {} + | LC_ALL=C sort | $(keep)

# the stages of one task; $(1) its name, $(2) prefix and $(3) suffix of its files, $(4) the suffix of its tables
define stages
$(OUT)/$(2)preparing.txt: FORCE
	@printf '%s\n' $$(settings_$(1)) $$(if $$(READ),'$$(READ)') | $$(keep)

$(OUT)/$(2)training.txt: FORCE
	@printf '%s\n' '$$(call divide,$(1))' '$$(SEED)' '$$(NETWORK)' '$$(TRAIN)' '$$(train_$(1))' \
	  $$(if $$(READ),'$$(READ)') | $$(keep)

$(OUT)/$(2)predicting.txt: FORCE
	@printf '%s\n' '$$(PREDICT)' | $$(keep)

$(OUT)/$(2)split.csv: $(OUT)/files.txt $(OUT)/$(2)training.txt
	@echo "split: mri-split $$(call divide,$(1))"
	@mri-split "$$(DATA)" $$(READ) $$(call divide,$(1)) --seed $$(SEED) $$(whole)

$(OUT)/$(2)normalized.txt: $(OUT)/files.txt $(OUT)/$(2)preparing.txt
	@echo 'prepare: $$(said_$(1))'
	@for folder in $$(folders_$(1):%=$(OUT)/%); do $$(call anew,$$$$folder,$(OUT)/$(2)preparing.txt); done
	@$$(prepare_$(1)) $$(whole)

# a case that cannot be trained on was named and left out (exit 1): the model of the others, if it is new, counts
$$($(1)_runs:%=$(OUT)/%$(3).h5): $(OUT)/%$(3).h5: $(OUT)/$(2)split.csv $(OUT)/$(2)normalized.txt $(OUT)/$(2)training.txt
	@echo "train: $$(call said,$(1),$$*,the model)$$(if $$(time_$(1)),$$(comma) $$(time_$(1)))"
	@for name in $$^; do [ $$@.checkpoint -nt $$$$name ] || rm -f $$@.checkpoint; done  # of an interrupted run: go on
	@mri-train --task $(1) --seed $$(SEED) $$(NETWORK) $$(train_$(1)) $$(TRAIN) --split $(OUT)/$(2)split.csv \
	  $$(call fold,$$*) --resume --force -o $$@ < $(OUT)/$(2)normalized.txt > /dev/null \
	  || { [ $$$$? = 1 ] && [ -f $$@ ] && [ -z "$$$$(find $$^ -newer $$@)" ]; } || $$(mend)

$$($(1)_runs:%=$(OUT)/%$(3).$(4)): $(OUT)/%$(3).$(4): $(OUT)/%$(3).h5 $(OUT)/$(2)predicting.txt
	@echo "predict: $$(call said,$(1),$$*,the test part), by the model that never saw it"
	@$$(if $$(predictions_$(1)),$$(call anew,$$(call predictions_$(1),$$*),$$^))
	@mri-predict --model $$< --split $(OUT)/$(2)split.csv $$(call fold,$$*) < $(OUT)/$(2)normalized.txt $$(PREDICT) \
	  $$(call into,$(1),$$*) $$(whole)

$(OUT)/$(2)scores.csv: $$($(1)_runs:%=$(OUT)/%$(3).$(4))
	@cat $$^ | mri-score --reference "$$(DATA)" $$(READ) $$(scheme_$(1)) --split $(OUT)/$(2)split.csv \
	  $$(if $$(filter fold%,$$($(1)_runs)),,--part test) $$(whole)

$(OUT)/test$(3).$(4): $$(TEST_FILES) $$($(1)_runs:%=$(OUT)/%$(3).h5) $(OUT)/$(2)predicting.txt
	@echo "predict: $$(TEST), $$(call averaged,$(1))"
	@$$(if $$(predictions_$(1)),$$(call anew,$$(call predictions_$(1),test),$$^))
	@mri-predict "$$(TEST)" $$(READ) $$($(1)_runs:%=--model $(OUT)/%$(3).h5) $$(PREDICT) $$(call into,$(1),test) $$(whole)

$(OUT)/$(2)test-scores.csv: $(OUT)/test$(3).$(4)
	@mri-score --reference "$$(TEST)" $$(READ) $$(scheme_$(1)) < $$< $$(whole)

.PRECIOUS: $$($(1)_runs:%=$(OUT)/%$(3).h5)
endef
into = $(if $(predictions_$(1)),$(call forced,$(call predictions_$(1),$(2))) -o $(call predictions_$(1),$(2)))
$(foreach task,$(TASKS),$(eval $(task)_runs := $(call runs,$(task))))
$(foreach task,$(TASKS),$(eval $(call stages,$(task),$(prefix_$(task)),$(suffix_$(task)),$(table_$(task)))))

$(OUT)/predictions.png: $(classify_runs:%=$(OUT)/%.csv)
	@cat $^ | mri-view --cases "$(DATA)" $(READ) -o $@ > /dev/null

# the page of an experiment; $(1) the task, $(2) prefix and $(3) suffix of its files
report = mri-view --report $(OUT)/$(2)report.html --cases "$(DATA)" $(READ) $($(1)_runs:%=$(OUT)/%$(3).h5) \
  $(OUT)/$(2)split.csv $(if $(predictions_$(1)),$($(1)_runs:%=$(OUT)/predictions/%),$($(1)_runs:%=$(OUT)/%$(3).csv)) \
  $(OUT)/$(2)scores.csv > /dev/null
$(OUT)/report.html: $(OUT)/scores.csv
	@$(call report,classify,,)
$(OUT)/map-report.html: $(OUT)/map-scores.csv
	@$(call report,segment,map-,-maps)
$(OUT)/box-report.html: $(OUT)/box-scores.csv
	@$(call report,localise,box-,-boxes)

classify-results: $(OUT)/scores.csv $(OUT)/predictions.png $(OUT)/report.html $(if $(TEST),$(OUT)/test-scores.csv)
	@cat $(classify_runs:%=$(OUT)/%.csv) | mri-score --reference "$(DATA)" $(READ) --split $(OUT)/split.csv \
	  $(if $(filter fold%,$(classify_runs)),,--part test)
	@echo "page: $(OUT)/report.html   picture: $(OUT)/predictions.png   table: $(OUT)/scores.csv   models: $(classify_runs:%=$(OUT)/%.h5)"
	@$(if $(TEST),$(call accuracy,$(OUT)/test-scores.csv,of TEST $(call averaged,classify)))
	@$(call accuracy,$(OUT)/scores.csv,$(if $(filter fold%,$(classify_runs)),$(words $(classify_runs)) duplicate-safe folds,the test part of the given split))

segment-results: $(OUT)/map-$(if $(TEST),test-)scores.csv $(if $(TEST),,$(OUT)/map-report.html)
	@echo "$(if $(TEST),,page: $(OUT)/map-report.html   )table: $<   models: $(segment_runs:%=$(OUT)/%-maps.h5)   label maps: $(OUT)/predictions"
	@awk -F, '$$1 == "dice" && $$8 == "all" { \
	  between = $$4 == "" ? "no interval" : sprintf("%d %% interval %.3f to %.3f", $$9, $$4, $$5); \
	  printf "Dice %s %.3f (%s, %d cases)\n", $$2, $$3, between, $$7 }' $<

localise-results: $(OUT)/box-$(if $(TEST),test-)scores.csv $(if $(TEST),,$(OUT)/box-report.html)
	@echo "$(if $(TEST),,page: $(OUT)/box-report.html   )table: $<   models: $(localise_runs:%=$(OUT)/%-boxes.h5)"
	@awk -F, '$$1 == "ap50" && $$8 == "all" { \
	  between = $$4 == "" ? "no interval" : sprintf("%d %% interval %.3f to %.3f", $$9, $$4, $$5); \
	  printf "AP50 %.3f (%s, %d images)\n", $$3, between, $$7 }' $<
endif

##@ Choose
.PHONY: choices
TASK = classify
TIME = 1m
QUESTIONS = $(notdir $(wildcard docs/choices/$(TASK)/*))
choices: $(VENV)/installed ## which backbone, loss, sampling, augmentation …? compared on folds, three trainings each [DATA=images] [TASK=segment] [TIME=10m] [QUESTIONS=losses]
	@test -n "$(DATA)" || { echo "choices: DATA is missing: make choices DATA=folder [TASK=segment]" >&2; exit 2; }
	@echo "choices: $(words $(wildcard $(QUESTIONS:%=docs/choices/$(TASK)/%/*.toml))) settings, 3 trainings of $(TIME) each" >&2
	@failed=; for question in $(QUESTIONS); do echo "== $$question"; \
	  mri-tune "$(DATA)" --task $(TASK) --training $(TIME) --study $(OUT)/choices/$(TASK)-$$question.study \
	    $$(printf -- ' --compare %s' docs/choices/$(TASK)/$$question/*.toml) || failed="$$failed $$question"; done; \
	  test -z "$$failed" || { echo "choices: not answered:$$failed" >&2; exit 1; }

##@ Develop
.PHONY: test lint bench docs clean
$(VENV)/tested: $(VENV)/installed
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[$(EXTRA),tune,test]'
	@touch $@

test: $(VENV)/tested ## the whole test suite
	@PYTHONUTF8=1 pytest -n auto --dist worksteal

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
