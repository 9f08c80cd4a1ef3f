# Log-likelihoods of glmmTMB for the data sets written by small_data.py:  Rscript small_data.R DIR
suppressMessages(library(glmmTMB))
dir <- commandArgs(TRUE)[1]
ours <- read.csv(file.path(dir, "ours.csv"), stringsAsFactors = FALSE)
families <- list(gaussian = gaussian(), binomial = binomial(), poisson = poisson(), nbinom2 = nbinom2())
theirs <- sapply(seq_len(nrow(ours)), function(i) {
  d <- read.csv(file.path(dir, paste0("set", ours$set[i], ".csv")), colClasses = c(g = "character", h = "character"))
  f <- try(suppressWarnings(glmmTMB(as.formula(ours$formula[i]), d, family = families[[ours$family[i]]])), silent = TRUE)
  if (inherits(f, "try-error")) NA else -f$fit$objective
})
write.csv(data.frame(set = ours$set, theirs = theirs), file.path(dir, "glmmTMB.csv"), row.names = FALSE)
