"""The migration pages: nothing that mclust exports is left out."""

from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "migration" / "mclust.rst"
# Without the variants of functions for each model, such as meVVV.
EXPORTED = """
acidity adjustedRandIndex as.densityMclust as.Mclust
Baudry_etal_2010_JCGS_examples bic bicEMtrain BrierScore cdens cdfMclust
checkModelName chevron classError classPriorProbs clPairs clPairsLegend clustCombi
clustCombiOptim combiPlot combiTree combMat coordProj covw crimcoords cross
cv.MclustDA cv1EMtrain cvMclustDA decomp2sigma defaultPrior dens densityMclust
densityMclust.diagnostic diabetes dmvnorm dupPartition em emControl entPlot errorBars
estep EuroUnemployment getParameters.MclustDA gmmhd gmmhdClassify gmmhdClusterCores
GvHD hc hclass hcRandomPairs hdrlevels hypvol icl imputeData imputePairs logLik
logsumexp majorityVote map mapClass matchCluster Mclust mclust.options mclust1Dplot
mclust2Dplot mclustBIC mclustBICupdate MclustBootstrap mclustBootstrapLRT MclustDA
MclustDR MclustDRrecoverdir MclustDRsubsel mclustICL mclustLoglik mclustModel
mclustModelNames MclustSSC mclustVariance me me.weighted mstep mvn mvn2plot
nMclustParams nVarParams partconv partuniq pickBIC plotDensityMclust1
plotDensityMclust2 plotDensityMclustd plotEvalues.MclustDR predict2D.MclustDR
priorControl projpar.MclustDR quantileMclust randomOrthogonalMatrix randomPairs
randProj sigma2decomp sim softmax summaryMclustBIC summaryMclustBICn surfacePlot
thyroid uncerPlot unmap wdbc wreath
""".split()


@pytest.mark.skipif(not PAGE.exists(), reason="the pages are not part of a wheel")
def test_the_page_of_mclust_names_every_function():
    text = PAGE.read_text(encoding="utf-8")
    named = {
        name.partition("(")[0].strip(" ,")
        for part in text.split("``")[1::2]
        for name in part.split("\n")
    }
    assert [name for name in EXPORTED if name not in named] == []
